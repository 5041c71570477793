package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/capacity/usage"
)

// beside is what is looked at while a pod is loaded, besides its answers. Used by the
// search's goroutine alone.
type beside struct {
	recorder *usage.Recorder
	sources  int
	stop     func() // ends reading, and waits for it
	now      span
	steps    []span
}

// span is the time of a probe.
type span struct{ begin, end time.Time }

// lookBeside begins to read what the pod uses, until finish.
func lookBeside(ctx context.Context, sources []usage.Source) *beside {
	b := &beside{recorder: usage.NewRecorder(sources), sources: len(sources), stop: func() {}}
	if len(sources) == 0 {
		return b
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { b.recorder.Run(ctx) })
	b.stop = func() { cancel(); reading.Wait() }
	return b
}

// around notes when a probe was, and counts its requests.
func (b *beside) around(probe search.Probe) search.Probe {
	return func(ctx context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (search.Outcome, error) {
		b.now.begin = time.Now()
		defer func() { b.now.end = time.Now() }()
		return probe(ctx, rate, d, func(latency time.Duration, ok bool) bool {
			b.recorder.Request()
			return observe(latency, ok)
		})
	}
}

// step completes the step of the last probe by what is known by now.
func (b *beside) step(s *search.StepResult) {
	b.steps = append(b.steps, b.now)
	b.use(s, b.now)
}

func (b *beside) use(s *search.StepResult, at span) {
	if u, ok := b.recorder.Between(at.begin, at.end, s.Requests); ok {
		s.Pod = &u
	}
}

// finish ends reading and completes the result.
func (b *beside) finish(r *search.Result) {
	b.stop()
	if b.sources == 0 {
		return
	}
	var loads []usage.Load
	var steady time.Time
	for i := range min(len(r.Steps), len(b.steps)) {
		s := &r.Steps[i]
		b.use(s, b.steps[i])
		if s.Proof && steady.IsZero() {
			steady = b.steps[i].begin
		}
		if s.Pod != nil && s.Invalid == "" {
			loads = append(loads, usage.Load{Rate: s.Rate, Seconds: s.Seconds, Step: *s.Pod})
		}
	}
	r.Pod = b.recorder.Summarise(loads, r.Safe, r.Estimate, steady)
	if n, err := b.recorder.Failure(); err != nil {
		text := fmt.Sprintf("CPU and memory could not be read %d times: %v", n, err)
		if r.Pod == nil {
			text = fmt.Sprintf("nothing is known of the pod's CPU and memory: %v", err)
		}
		r.Warnings = append(r.Warnings, text)
	}
}

// notes say what the answer depends on, and what nobody knows.
func (f Find) notes(r *search.Result, target api.Target) {
	note := func(about string, known bool, format string, args ...any) {
		r.Notes = append(r.Notes, search.Note{About: about, Known: known, Text: fmt.Sprintf(format, args...)})
	}
	note("arrivals", true, "by chance (Poisson), open loop; callers that come in bunches break the objective at a lower rate")
	mix := fmt.Sprintf("%s %s alone was called", target.Method, pathOf(target.URL))
	if n := len(f.Function.Spec.Routes); n > 1 {
		mix += fmt.Sprintf(", one of %d routes", n)
	}
	note("mix of calls", true, "%s, always the same; calls that do other work cost a pod something else", mix)
	if ours(f.Pin.Address) {
		note("generator", true, "on the pod's own machine, as the gateway may be: what it takes of its CPU the pod has not")
	} else {
		note("generator", true, "on another machine than the pod, by its address")
	}
	shared(r, note)
}

// shared says whether others used the pod's machine.
func shared(r *search.Result, note func(string, bool, string, ...any)) {
	const about = "shared node"
	p := r.Pod
	if p == nil || p.Steal == nil && p.Throttled == nil {
		note(about, false, "whether other work ran on the pod's machine meanwhile; figures of its node exporter or of cAdvisor say so (--metrics)")
		return
	}
	text := ""
	if p.Steal != nil {
		text = fmt.Sprintf("other machines took %.1f %% of the machine's time (steal); ", 100**p.Steal)
	}
	if p.Throttled != nil {
		text += fmt.Sprintf("the pod's CPU quota was used up in %.1f %% of the periods; ", 100**p.Throttled)
	}
	note(about, true, "%sother containers on it are not known", text)
}
