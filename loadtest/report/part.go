package report

import (
	"strings"
)

// Part is what a run showed of one kind of request: a target or a step. What was due
// and dropped belongs to no kind.
type Part struct {
	Scenario string            `json:"scenario,omitempty"`
	Target   string            `json:"target"`
	Tags     []string          `json:"tags,omitempty"`
	Sent     uint64            `json:"sent"`
	Latency  Latency           `json:"latency_s"`
	Status   map[int]uint64    `json:"status"`
	Errors   map[string]uint64 `json:"errors,omitempty"`
}

// Name is "scenario: target #tag".
func (p Part) Name() string {
	name := p.Target
	if p.Scenario != "" {
		name = p.Scenario + ": " + name
	}
	for _, t := range p.Tags {
		name += " #" + t
	}
	return name
}

func (r Result) writeParts(row func(name, format string, args ...any)) {
	for _, p := range r.Parts {
		text := ""
		if len(p.Errors) > 0 {
			text = "  errors " + counts(p.Errors)
		}
		row("  "+strings.ReplaceAll(p.Name(), "\t", " "), "%d sent  p50 %s  p99 %s  status %s%s",
			p.Sent, ms(p.Latency.P50), ms(p.Latency.P99), counts(p.Status), text)
	}
}
