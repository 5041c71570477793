package search

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/kongdao/kongdao/capacity/usage"
)

// WriteText writes the result for people.
func (r Result) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "safe rate  %.1f/s a pod, under %s\n", r.Safe, r.Objective)
	high := "not found"
	if r.High > 0 {
		high = fmt.Sprintf("%.1f/s", r.High)
	}
	fmt.Fprintf(&b, "interval   %.1f/s to %s; proven %.1f/s\n", r.Safe, high, r.Proven)
	fmt.Fprintf(&b, "cost       %d requests in %.1f s, %d broke the objective, peak %.1f/s\n", r.Requests, r.Load, r.Broke, r.Peak)
	if r.Scaling != nil {
		for _, text := range r.Scaling.lines() {
			fmt.Fprintf(&b, "in flight  %s\n", text)
		}
	}
	if r.Pod != nil {
		for _, text := range podLines(*r.Pod) {
			fmt.Fprintf(&b, "pod        %s\n", text)
		}
	}
	for _, text := range r.Notes {
		fmt.Fprintf(&b, "note       %s\n", text)
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(&b, "warning    %s\n", text)
	}
	if err := r.writeSteps(&b); err != nil {
		return fmt.Errorf("format steps: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r Result) writeSteps(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head, pod := "step\trate\tseconds\trequests\tbroke\tp99\tat once\t", r.Pod != nil
	if pod {
		head += "cores\tmemory\t"
	}
	fmt.Fprintln(t, head+"verdict\t")
	for i, s := range r.Steps {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%d\t%d\t%v\t%.1f\t", i+1, s.Rate, s.Seconds, s.Requests, s.Broke, short(s.P99), s.InFlight)
		if pod {
			fmt.Fprint(t, podCells(s.Pod))
		}
		fmt.Fprintf(t, "%s\t\n", s.verdict())
	}
	return t.Flush()
}

func podCells(s *usage.Step) string {
	cpu, memory := "-", "-"
	if s != nil && s.CPU > 0 {
		cpu = fmt.Sprintf("%.2f", s.CPU)
	}
	if s != nil && s.Memory > 0 {
		memory = usage.Bytes(s.Memory)
	}
	return cpu + "\t" + memory + "\t"
}

func podLines(s usage.Summary) []string {
	var parts []string
	if s.CPU > 0 {
		parts = append(parts, fmt.Sprintf("%.2f cores at the safe rate, %.3g ms a request", s.CPU, s.CPUPer))
	}
	if s.Memory > 0 {
		text := fmt.Sprintf("memory %s at the end, %+.3g KiB with 1,000 requests", usage.Bytes(s.Memory), s.MemoryPer/1024)
		if s.MemoryLimit > 0 {
			text += ", limit " + usage.Bytes(s.MemoryLimit)
		}
		parts = append(parts, text)
	}
	var all []string
	if len(parts) > 0 {
		all = append(all, strings.Join(parts, "; "))
	}
	return append(all, s.Says()...)
}
