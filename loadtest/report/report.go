// Package report holds what a load test showed: as JSON for programs, as a table
// for people, and read back from a file of single results.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is the outcome of a run. In JSON all times are seconds and all rates
// requests a second.
type Result struct {
	Run            string             `json:"run"`
	Scenario       string             `json:"scenario,omitempty"`
	Valid          bool               `json:"valid"` // false: the generator, not the server, may be what was measured
	InvalidReasons []string           `json:"invalid_reasons,omitempty"`
	Stopped        string             `json:"stopped,omitempty"` // empty: the plan was carried out; "observer", "caller", "bytes", "canary" or "production"
	Started        time.Time          `json:"started"`
	Seconds        float64            `json:"duration_s"` // first to last sending, or to the stop
	OfferedRate    float64            `json:"offered_rate"`
	AchievedRate   float64            `json:"achieved_rate"` // of what was sent to the plan; requests that follow from an answer are no part of it
	Sent           uint64             `json:"sent"`
	Late           uint64             `json:"late"`     // sent behind the plan; their wait is part of the latency
	Dropped        uint64             `json:"dropped"`  // due but never sent
	Canceled       uint64             `json:"canceled"` // in flight when the run was stopped; in no other figure but sent
	Latency        Latency            `json:"latency_s"`
	Status         map[int]uint64     `json:"status"`
	Errors         map[string]uint64  `json:"errors,omitempty"` // requests without a whole answer, by kind
	BytesIn        uint64             `json:"bytes_in"`
	BytesOut       uint64             `json:"bytes_out"`
	BytesWire      uint64             `json:"bytes_wire,omitempty"` // received and sent over the connections, headers included
	Lag            Lag                `json:"schedule_lag_s"`
	CPU            float64            `json:"generator_cpu"` // share of all cores used by this process, 0 to 1
	Thresholds     []ThresholdOutcome `json:"thresholds"`
	Parts          []Part             `json:"parts,omitempty"` // each kind of request, when there are several
	Confidence     Confidence         `json:"latency_confidence"`
	Canary         *Canary            `json:"canary,omitempty"` // the phase before the run; nil: there was none
	Agents         []Agent            `json:"agents,omitempty"` // when several generators shared the run
	Intervals      []Interval         `json:"intervals,omitempty"`
	Histogram      string             `json:"histogram,omitempty"` // of latencies in microseconds, as HdrHistogram encodes it (V2, compressed, base64)
}

// Agent is one of several generators.
type Agent struct {
	Name   string  `json:"name"`
	Valid  bool    `json:"valid"`
	Sent   uint64  `json:"sent"`
	Rate   float64 `json:"rate"` // requests a second that it sent
	LagP99 float64 `json:"lag_p99_s"`
	CPU    float64 `json:"cpu"`            // share of all its cores, 0 to 1
	Clock  float64 `json:"clock_offset_s"` // ahead of the coordinator's clock
	Error  float64 `json:"clock_error_s"`  // by which that may be wrong
}

// Latency of all answered or failed requests from their planned times, seconds.
// It is zero when there were none.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Lag is how much later than it could have a request was sent, seconds: the
// generator's own delay, without the wait for a free worker.
type Lag struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// ThresholdOutcome says whether a threshold was kept.
type ThresholdOutcome struct {
	Expr   string  `json:"expr"`
	OK     bool    `json:"ok"`
	Actual float64 `json:"actual"` // seconds, share, requests a second, or requests
}

// OK is true when the run is valid and every threshold was kept.
func (r Result) OK() bool {
	return r.Valid && !slices.ContainsFunc(r.Thresholds, func(t ThresholdOutcome) bool { return !t.OK })
}

// Success is the share of requests that were due and got an answer from 200 to
// 399; dropped ones failed, canceled ones are left out. 0 when there were none.
func (r Result) Success() float64 {
	total := r.Sent - r.Canceled + r.Dropped
	if total == 0 {
		return 0
	}
	var good uint64
	for code, n := range r.Status {
		if code >= 200 && code < 400 {
			good += n
		}
	}
	return float64(good) / float64(total)
}

// MarshalJSON writes empty maps and lists instead of null.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result
	if r.Status == nil {
		r.Status = map[int]uint64{}
	}
	if r.Thresholds == nil {
		r.Thresholds = []ThresholdOutcome{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // thresholds hold "<"
	if err := enc.Encode(plain(r)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// WriteText writes the result for people.
func (r Result) WriteText(w io.Writer) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("run", "%s", strings.TrimSpace(r.Run+" "+r.Scenario))
	r.writeCanary(row)
	row("rate", "%.1f/s of %.1f/s offered, for %.1f s", r.AchievedRate, r.OfferedRate, r.Seconds)
	row("requests", "%d sent, %d late, %d dropped, %d canceled", r.Sent, r.Late, r.Dropped, r.Canceled)
	row("latency", "mean %s  p50 %s  p90 %s  p99 %s  max %s", ms(r.Latency.Mean), ms(r.Latency.P50),
		ms(r.Latency.P90), ms(r.Latency.P99), ms(r.Latency.Max))
	if line := r.Confidence.line(); line != "" {
		row("95 % sure", "%s", line)
	}
	row("success", "%.3f %%", 100*r.Success())
	row("status", "%s", counts(r.Status))
	if len(r.Errors) > 0 {
		row("errors", "%s", counts(r.Errors))
	}
	r.writeParts(row)
	row("generator", "lag p99 %s, %.0f %% of all cores", ms(r.Lag.P99), 100*r.CPU)
	for _, a := range r.Agents {
		row("agent", "%s: %d sent, lag p99 %s, %.0f %% of all cores, clock %+.1f ± %.1f ms", a.Name, a.Sent, ms(a.LagP99), 100*a.CPU, 1000*a.Clock, 1000*a.Error)
	}
	if r.Stopped != "" {
		row("stopped", "by %s", stoppedBy(r.Stopped))
	}
	for _, o := range r.Thresholds {
		row("threshold", "%s  %s (%.4g)", verdict(o.OK), o.Expr, o.Actual)
	}
	for _, reason := range r.InvalidReasons {
		row("INVALID", "%s", reason)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("format result: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// stoppedBy names what ended a run.
func stoppedBy(what string) string {
	switch what {
	case "bytes":
		return "the cap of bytes"
	case "canary":
		return "the canary phase: it did not begin"
	}
	return "the " + what
}

func verdict(ok bool) string {
	if ok {
		return "kept  "
	}
	return "BROKEN"
}

func ms(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }

// counts is "200: 8990, 503: 10".
func counts[K int | string](m map[K]uint64) string {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%v: %d", k, m[k])
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
