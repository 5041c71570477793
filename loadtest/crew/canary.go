package crew

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/report"
)

// try lets every agent send its share of the first phase. refused is the result of a
// run that must not begin.
func (c *Coordinator) try(ctx context.Context, members []*member, spec api.ScenarioSpec, o loadtest.Options, d time.Duration) (seen *report.Canary, refused *report.Result, err error) {
	var once sync.Once
	ended := make(chan struct{})
	defer close(ended)
	stop := func() { once.Do(func() { go stopTrying(members, ended) }) }
	defer context.AfterFunc(ctx, stop)()
	tried, errs := make([]loadtest.Tried, len(members)), make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() {
			if tried[i], errs[i] = m.try(d, c.config.Dead); errs[i] != nil {
				errs[i] = fmt.Errorf("agent %s was lost in the canary phase: %w", m.name, errs[i])
				stop()
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return loadtest.JudgeCanary(spec, o, d, tried)
}

// stopTrying tells every agent; who does not report in time is hung up on.
func stopTrying(members []*member, ended <-chan struct{}) {
	for _, m := range members {
		_ = m.send(message{Stop: true}) // who cannot be told is silent soon
	}
	select {
	case <-ended:
	case <-time.After(stopGrace):
		for _, m := range members {
			_ = m.conn.Close()
		}
	}
}

// try waits for what one agent saw.
func (m *member) try(d, silence time.Duration) (t loadtest.Tried, err error) {
	if err := m.send(message{Try: d}); err != nil {
		return t, err
	}
	for {
		got, err := m.receive(silence, maxMessage)
		if err != nil {
			return t, err
		}
		if got.Tried == nil {
			continue // a sign of life
		}
		if got.Tried.Error != "" {
			return t, errors.New(got.Tried.Error)
		}
		t.Stats, err = got.Tried.Stats.decode()
		t.Stats.Began, t.Said = t.Stats.Began.Add(-m.offset), got.Tried.Said
		return t, err
	}
}

// try is the agent's share of the first phase.
func (a *Agent) try(ctx context.Context, l *line, in *inbox, j *job, d time.Duration) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	end := in.obey(stop)
	t, err := loadtest.Try(running, j.Spec, a.signs(l, j), d)
	end()
	out := &outcome{Said: t.Said}
	if err == nil {
		out.Stats, err = encode(t.Stats)
	}
	if err != nil {
		out.Error = err.Error()
	}
	return errors.Join(err, l.send(message{Tried: out}))
}
