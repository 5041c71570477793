package app

import (
	"context"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/search"
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
	Start    float64       // first rate, requests a second; 0: a tenth of MaxRate
	MaxRate  float64       // never tried beyond
	Budget   time.Duration
	Limits   scenario.Limits
	Report   func(search.StepResult) // every step when it has ended; nil: none
	Tick     func(attack.Progress)   // once a second; nil: none
}

// FindCapacity searches. While it runs, users are served by the other pods: nobody
// but the test sees the pod at its knee.
func FindCapacity(ctx context.Context, f Find) (search.Result, error) {
	c := search.DefaultConfig()
	c.Objective = search.ObjectiveOf(f.Function.Spec.Objective)
	c.Start, c.MaxRate, c.Budget = f.Start, f.MaxRate, f.Budget
	if m := f.Function.Spec.Capacity.Measured; m != nil && c.Start == 0 {
		c.Earlier = m.Low
	}
	if c.Start == 0 && c.Earlier == 0 {
		c.Start = f.MaxRate / 10
	}
	target, err := f.target()
	if err != nil {
		return search.Result{}, err
	}
	probes := 0
	probe := func(ctx context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (search.Outcome, error) {
		probes++
		return f.probe(ctx, target, rate, d, uint64(probes), observe)
	}
	return search.Run(ctx, c, probe, f.Report)
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
	if len(route.Methods) > 0 {
		t.Method = route.Methods[0]
	}
	if host := ConcreteHost(route); host != "" {
		t.Header["Host"] = host
	}
	return t, nil
}

// probe offers one rate for one stretch of time.
func (f Find) probe(ctx context.Context, target api.Target, rate float64, d time.Duration, seed uint64, observe func(time.Duration, bool) bool) (search.Outcome, error) {
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
		Name: "capacity/" + f.Function.Name, Run: f.Run, Seed: seed, Limits: f.Limits, Progress: f.Tick,
		Observe: func(o attack.Observation) bool {
			if o.Status == 429 {
				limited++
			}
			return observe(o.Latency, o.Fault == "" && o.Status < 400)
		},
	})
	if err != nil {
		return search.Outcome{}, err
	}
	out := search.Outcome{Elapsed: time.Duration(r.Seconds * float64(time.Second)), Limited: limited}
	if !r.Valid && r.Stopped == "" {
		out.Invalid = strings.Join(r.InvalidReasons, "; ")
	}
	return out, nil
}

func (s *System) zonesWithPods() []string {
	zones := map[string]bool{}
	for _, z := range s.xds.State().Zones {
		if z.Pods > 0 {
			zones[z.Name] = true
		}
	}
	return sortedKeys(zones)
}
