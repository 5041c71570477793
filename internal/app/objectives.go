package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/objective"
)

// production watches whether functions keep their objectives, over the last seconds.
// Load tests do not count. It is for one drill, switch or load test.
type production struct {
	system    *System
	functions []string // empty: all
	bound     func(*api.Function) objective.Bound
	length    time.Duration

	mu      sync.Mutex
	windows map[string]*objective.Window
}

// healthWindow is the stretch of calls that a drill is judged by.
const healthWindow = 5 * time.Second

func (s *System) newProduction(length time.Duration, functions ...string) *production {
	return &production{system: s, functions: functions, bound: boundOf, length: length, windows: map[string]*objective.Window{}}
}

// undeclared is the share of failed calls of a function without an objective.
const undeclared = 0.01

// boundOf is what a function's objective allows; without one, 1 % may fail.
func boundOf(f *api.Function) objective.Bound {
	b := objective.Bound{Failed: undeclared}
	if success := f.Spec.Objective.Success.Ratio(); success > 0 {
		b.Failed = 1 - success
	}
	l := f.Spec.Objective.Latency
	switch {
	case l.P99 > 0:
		b.Latency, b.Slow = l.P99.Std(), 0.01
	case l.P90 > 0:
		b.Latency, b.Slow = l.P90.Std(), 0.1
	case l.P50 > 0:
		b.Latency, b.Slow = l.P50.Std(), 0.5
	}
	return b
}

// errUnknownHealth is for calls of which nobody can say how they went.
var errUnknownHealth = errors.New("how calls go is not known")

// look counts the calls, and returns which objectives are broken.
func (p *production) look(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var broken []string
	set := p.system.registry.Current().Set
	for _, f := range set.Functions {
		if len(p.functions) > 0 && !slices.Contains(p.functions, f.Name) {
			continue
		}
		b := p.bound(f)
		slow := b.Latency
		if slow == 0 {
			slow = time.Hour
		}
		counts, err := p.system.callsByRevision(ctx, f.Name, slow)
		if err != nil {
			return fmt.Errorf("%w: %w", errUnknownHealth, err)
		}
		var sum objective.Count
		for _, c := range counts {
			sum.Calls, sum.Failed, sum.Slow = sum.Calls+c.Calls, sum.Failed+c.Failed, sum.Slow+c.Slow
		}
		w := p.windows[f.Name]
		if w == nil {
			w = &objective.Window{Length: p.length}
			p.windows[f.Name] = w
		}
		w.Add(time.Now(), sum)
		if why := b.Broken(w.Last()); why != "" {
			broken = append(broken, f.Name+": "+why)
		}
	}
	if len(broken) > 0 {
		return errors.New(strings.Join(broken, "; "))
	}
	return nil
}
