package release

import (
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Phase is how an automatic release stands.
type Phase string

// The phases of a release.
const (
	Running    Phase = "running"
	Paused     Phase = "paused"      // by command: no further step, but still rolled back when it is worse
	RolledBack Phase = "rolled back" // it was worse
	Aborted    Phase = "aborted"     // by command, or since the file has it no more
	Done       Phase = "done"        // the revision has everything
)

// Progress is an automatic release on its way, or the last one.
type Progress struct {
	Revision string    `json:"revision"` // takes over
	From     string    `json:"from"`     // it is compared with
	Phase    Phase     `json:"phase"`
	Percent  int       `json:"percent"` // of the step
	Since    time.Time `json:"since"`   // of the step or the end
	Reason   string    `json:"reason,omitempty"`
	Before   Weights   `json:"before"` // the weights that it began with
}

// over tells whether nothing will happen any more by itself.
func (p *Progress) over() bool { return p == nil || p.Phase != Running && p.Phase != Paused }

// in is the progress in another phase.
func (p *Progress) in(phase Phase, now time.Time, reason string) *Progress {
	next := *p
	next.Phase, next.Reason = phase, reason
	if next.over() {
		next.Since = now
	}
	return &next
}

// Defaults of a release whose resource says nothing.
const (
	defaultInterval         = 5 * time.Minute
	defaultMinCalls         = 50
	defaultMaxErrorIncrease = 0.01
	defaultMaxSlowIncrease  = 0.05
)

// plan is a release as it is meant, without zeros.
type plan struct {
	revision       string
	steps          []int
	interval       time.Duration
	minCalls       uint64
	errors, slowed float64       // shares that the revision may have more
	slow           time.Duration // 0: latency is not judged
}

func planOf(f *api.Function) plan {
	r := f.Spec.Release
	p := plan{
		revision: r.Revision, steps: r.Steps, interval: r.Interval.Std(), minCalls: uint64(r.MinCalls),
		errors: r.MaxErrorIncrease.Ratio(), slowed: r.Latency.MaxIncrease.Ratio(), slow: r.Latency.Slow.Std(),
	}
	if len(p.steps) == 0 {
		p.steps = []int{1, 5, 20, 50, 100}
	}
	if p.interval == 0 {
		p.interval = defaultInterval
	}
	if p.minCalls == 0 {
		p.minCalls = defaultMinCalls
	}
	if p.errors == 0 {
		p.errors = defaultMaxErrorIncrease
	}
	if p.slowed == 0 {
		p.slowed = defaultMaxSlowIncrease
	}
	if p.slow == 0 {
		p.slow = f.Spec.Objective.Latency.P99.Std()
	}
	return p
}

// after is the step that follows a percentage; 100 after the last one.
func (p plan) after(percent int) int {
	i := slices.IndexFunc(p.steps, func(s int) bool { return s > percent })
	if i < 0 {
		return 100
	}
	return p.steps[i]
}
