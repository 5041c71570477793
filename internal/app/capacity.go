package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/capacity/usage"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// Find is a search for the safe rate of one pod, through the gateway.
type Find struct {
	Gateway  string        // host:port
	Function *api.Function // whose objective counts
	Pin      Pin           // the pod, out of rotation for the time of the search
	Path     string        // what is called; empty: the function's first route
	Run      string        // id that marks the requests
	Mark     string        // header that proves the mark; empty: none is needed
	Start    float64       // first rate, requests a second; 0: a tenth of MaxRate
	MaxRate  float64       // never tried beyond
	Budget   time.Duration
	Limits   scenario.Limits
	Report   func(search.StepResult) // every step when it has ended; nil: none
	Tick     func(FindProgress)      // once a second; nil: none
	Begin    Begin                   // what is known before; zero: nothing
	Metrics  []usage.Source          // of the pod; none: its CPU and memory are not known
}

// FindProgress is how a probe is doing.
type FindProgress struct {
	Rate float64       // requests a second that are offered
	For  time.Duration // at most
	Load attack.Progress
}

// FindCapacity searches. While it runs, users are served by the other pods: nobody
// but the test sees the pod at its knee. When ctx ends it says what it found until then.
func FindCapacity(ctx context.Context, f Find) (search.Result, error) {
	target, err := f.target()
	if err != nil {
		return search.Result{}, err
	}
	look := lookBeside(ctx, f.Metrics)
	probes := 0
	left := f.Limits.Bytes() // of the whole search
	probe := look.around(func(ctx context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (search.Outcome, error) {
		probes++
		f.Limits.MaxBytes = max(1, left)
		out, used, err := f.probe(ctx, target, rate, d, uint64(probes), observe)
		left -= min(left, used)
		return out, err
	})
	r, err := search.Run(ctx, f.Config(), probe, func(s search.StepResult) {
		look.step(&s)
		if f.Report != nil {
			f.Report(s)
		}
	})
	look.finish(&r)
	if len(r.Steps) > 0 {
		f.notes(&r, target)
	}
	if n := f.Function.Spec.Concurrency; n > 0 && r.Scaling != nil && r.Scaling.Better == "" {
		r.Scaling.Better = fmt.Sprintf("the function is limited to %d at once", n)
	}
	return r, err
}

// Config is how the search will be: its First is where it begins.
func (f Find) Config() search.Config {
	c := search.DefaultConfig()
	c.Objective = search.ObjectiveOf(f.Function.Spec.Objective)
	c.Start, c.MaxRate, c.Budget = f.Start, f.MaxRate, f.Budget
	if c.Start == 0 {
		c.Earlier, c.Start = f.Begin.Earlier, f.Begin.Start
	}
	if c.Start == 0 && c.Earlier == 0 {
		c.Start = f.MaxRate / 10
	}
	return c
}

func (f Find) target() (api.Target, error) {
	route := f.Function.Spec.Routes[0]
	path, err := ConcretePath(route, f.Path)
	if err != nil {
		return api.Target{}, err
	}
	t := api.Target{
		Method: "GET", URL: "http://" + f.Gateway + path,
		Header: map[string]string{f.Pin.Header: f.Pin.Value},
	}
	if f.Mark != "" {
		t.Header[f.Mark] = "1"
	}
	if len(route.Methods) > 0 {
		t.Method = route.Methods[0]
	}
	if host := ConcreteHost(route); host != "" {
		t.Header["Host"] = host
	}
	return t, nil
}

// probe offers one rate for one stretch of time. It tells how many bytes that took.
func (f Find) probe(ctx context.Context, target api.Target, rate float64, d time.Duration, seed uint64, observe func(time.Duration, bool) bool) (out search.Outcome, used uint64, err error) {
	const most = 100 * time.Millisecond // an answer is worth waiting for ten times its objective
	timeout := max(10*f.Function.Spec.Objective.Latency.P99.Std(), most)
	spec := api.ScenarioSpec{
		Targets:  []api.Target{target},
		Stages:   []api.Stage{{Rate: rate, Duration: api.Duration(d)}},
		Workers:  256,
		Timeout:  api.Duration(timeout),
		Arrivals: "poisson",
	}
	limited := 0
	r, err := loadtest.Run(ctx, spec, loadtest.Options{
		Name: "capacity/" + f.Function.Name, Run: f.Run, Seed: seed, Limits: f.Limits, Progress: f.tick(rate, d),
		Observe: func(o attack.Observation) bool {
			if o.Status == 429 {
				limited++
			}
			return observe(o.Latency, o.Fault == "" && o.Status < 400)
		},
	})
	if err != nil {
		return out, 0, err
	}
	if r.Stopped == string(attack.StopBytes) {
		return out, r.BytesWire, fmt.Errorf("%w: %s", errBytes, strings.Join(r.InvalidReasons, "; "))
	}
	out = search.Outcome{Elapsed: time.Duration(r.Seconds * float64(time.Second)), Limited: limited}
	if !r.Valid && r.Stopped == "" {
		out.Invalid = strings.Join(r.InvalidReasons, "; ")
	}
	return out, r.BytesWire, nil
}

func (f Find) tick(rate float64, d time.Duration) func(attack.Progress) {
	if f.Tick == nil {
		return nil
	}
	return func(p attack.Progress) { f.Tick(FindProgress{rate, d, p}) }
}

// errBytes ends a search at the cap of bytes.
var errBytes = errors.New("the search is at its cap of bytes")

func (s *System) zonesWithPods() []string {
	zones := map[string]bool{}
	for _, z := range s.xds.State().Zones {
		if z.Pods > 0 {
			zones[z.Name] = true
		}
	}
	return sortedKeys(zones)
}
