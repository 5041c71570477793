package release

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/release/sequential"
)

// Config is what a user may set of the controller.
type Config struct {
	// Tick is how often figures are looked at. The test allows any number of looks;
	// a shorter tick rolls back sooner.
	Tick api.Duration `yaml:"tick"`

	// FalseAlarm is the probability that a whole release is rolled back although
	// the revision is not worse than it may be, over all looks and steps; above 0,
	// below 1. The smaller, the more bad calls a rollback takes.
	FalseAlarm float64 `yaml:"falseAlarm"`
}

// DefaultConfig looks four times a second and is wrong in one release of a hundred
// at most.
func DefaultConfig() Config {
	return Config{Tick: api.Duration(250 * time.Millisecond), FalseAlarm: 0.01}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Tick.Std() < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("tick: is %s, want at least 10ms", c.Tick))
	}
	if !(c.FalseAlarm > 0 && c.FalseAlarm < 1) {
		errs = append(errs, fmt.Errorf("falseAlarm: is %v, want a probability above 0 and below 1", c.FalseAlarm))
	}
	return errors.Join(errs...)
}

// Count is calls of one revision since some moment.
type Count struct {
	Calls  uint64 `json:"calls"`  // that no limit refused
	Failed uint64 `json:"failed"` // 5xx
	Slow   uint64 `json:"slow"`   // longer than the release's bound
}

// minus is what came since an earlier count; everything, when the counters began
// anew in between.
func (c Count) minus(was Count) Count {
	if c.Calls < was.Calls || c.Failed < was.Failed || c.Slow < was.Slow {
		return c
	}
	return Count{c.Calls - was.Calls, c.Failed - was.Failed, c.Slow - was.Slow}
}

// Figures are what a step has seen so far.
type Figures struct {
	Revision Count `json:"revision"` // that takes over
	From     Count `json:"from"`
}

// Sources are where the controller learns what happens. Both may be called from
// any goroutine.
type Sources struct {
	// Calls counts the calls of a function by revision, from some fixed moment on;
	// calls longer than slow are slow, none when it is 0.
	Calls func(ctx context.Context, function string, slow time.Duration) (map[string]Count, error)
	// Ready is how many pods of a revision may be called.
	Ready func(function, revision string) int
	// Gate says why a revision may not get that percentage of the calls; empty: it
	// may. It is asked before each step. Nil lets everything pass.
	Gate func(ctx context.Context, function, revision string, percent int) string
}

// Controller drives automatic releases.
type Controller struct {
	cfg     Config
	ledger  *Ledger
	sources Sources
	log     *slog.Logger
	metrics *metrics

	mu    sync.Mutex
	steps map[string]*step // by function
}

// step is what is known of a release's step, in memory alone: after a restart a
// step begins anew with its figures.
type step struct {
	revision string
	since    time.Time
	base     map[string]Count
	figures  Figures
	waiting  string
}

// New starts nothing.
func New(cfg Config, ledger *Ledger, sources Sources, log *slog.Logger, reg prometheus.Registerer) (*Controller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Controller{cfg: cfg, ledger: ledger, sources: sources, log: log, steps: map[string]*step{}}
	var err error
	c.metrics, err = newMetrics(reg, ledger)
	return c, err
}

// Run drives releases until ctx ends, which is no error.
func (c *Controller) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Tick.Std())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			for _, f := range c.ledger.releasing() {
				if err := c.look(ctx, f); err != nil && ctx.Err() == nil {
					c.wait(f.Name, err.Error())
				}
			}
		}
	}
}

// State is the ledger's, with the figures of a release under way.
func (c *Controller) State(function string) (State, bool) {
	s, ok := c.ledger.State(function)
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.steps[function]; st != nil && ok {
		s.Waiting = st.waiting
		if s.Progress != nil && s.Progress.Revision == st.revision {
			figures := st.figures
			s.Figures = &figures
		}
	}
	return s, ok
}

func (c *Controller) wait(function, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.steps[function]
	if st == nil {
		st = &step{}
		c.steps[function] = st
	}
	if st.waiting != what && what != "" {
		c.log.Info("release waits", "function", function, "for", what)
	}
	st.waiting = what
}

// look takes one look at a function's release, and acts on it.
func (c *Controller) look(ctx context.Context, f *api.Function) error {
	plan := planOf(f)
	calls, err := c.sources.Calls(ctx, f.Name, plan.slow)
	if err != nil {
		return fmt.Errorf("figures of calls: %w", err)
	}
	s, ok := c.ledger.State(f.Name)
	switch {
	case !ok:
		return nil
	case s.Progress == nil || s.Progress.Revision != plan.revision:
		return c.start(ctx, f, plan, s)
	case s.Progress.over():
		c.wait(f.Name, "")
		return nil
	}
	st := c.stepOf(f.Name, s.Progress, calls)
	figures := Figures{calls[plan.revision].minus(st.base[plan.revision]), calls[s.Progress.From].minus(st.base[s.Progress.From])}
	c.mu.Lock()
	st.figures = figures
	c.mu.Unlock()
	if why := plan.worse(figures, c.cfg.FalseAlarm); why != "" {
		c.metrics.verdicts.WithLabelValues("rolled_back").Inc()
		c.log.Warn("release rolled back", "function", f.Name, "revision", plan.revision, "percent", s.Progress.Percent, "why", why, "calls", figures.Revision.Calls)
		return c.ledger.rollBack(f.Name, s.Progress, why)
	}
	return c.advance(ctx, f, plan, s.Progress, figures)
}

// stepOf is the step that a progress is in; figures count from its beginning.
func (c *Controller) stepOf(function string, p *Progress, calls map[string]Count) *step {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.steps[function]
	if st == nil || st.revision != p.Revision || !st.since.Equal(p.Since) {
		st = &step{revision: p.Revision, since: p.Since, base: calls}
		c.steps[function] = st
	}
	return st
}

// start begins a release once the revision has a pod that may be called.
func (c *Controller) start(ctx context.Context, f *api.Function, plan plan, s State) error {
	if s.Weights.Of(plan.revision) == 100 {
		c.wait(f.Name, "")
		return c.ledger.alreadyDone(f.Name, plan.revision)
	}
	if c.sources.Ready(f.Name, plan.revision) == 0 {
		c.wait(f.Name, "a ready pod of "+plan.revision)
		return nil
	}
	if c.gated(ctx, f.Name, plan.revision, plan.after(s.Weights.Of(plan.revision))) {
		return nil
	}
	from := s.Weights.with(plan.revision, 0)
	p := &Progress{Revision: plan.revision, From: from.main(), Phase: Running, Before: from}
	c.metrics.verdicts.WithLabelValues("started").Inc()
	return c.ledger.advance(f.Name, nil, p, plan.after(s.Weights.Of(plan.revision)), fmt.Sprintf("compared with %s", p.From))
}

// advance goes to the next step when this one took its time and saw enough.
func (c *Controller) advance(ctx context.Context, f *api.Function, plan plan, p *Progress, figures Figures) error {
	rest := plan.interval - c.ledger.now().Sub(p.Since)
	switch {
	case p.Phase == Paused:
		c.wait(f.Name, "a command to resume")
		return nil
	case rest > 0:
		c.wait(f.Name, "the step's interval of "+api.Duration(plan.interval).String())
		return nil
	case figures.Revision.Calls < plan.minCalls:
		c.wait(f.Name, fmt.Sprintf("%d calls of %s", plan.minCalls, plan.revision))
		return nil
	}
	next := plan.after(p.Percent)
	if c.gated(ctx, f.Name, plan.revision, next) {
		return nil
	}
	verdict := "advanced"
	if next == 100 {
		verdict = "completed"
	}
	c.metrics.verdicts.WithLabelValues(verdict).Inc()
	c.wait(f.Name, "")
	return c.ledger.advance(f.Name, p, p, next, fmt.Sprintf("not worse in %d calls at %d%%", figures.Revision.Calls, p.Percent))
}

// gated waits when the gate does not let a revision have more.
func (c *Controller) gated(ctx context.Context, function, revision string, percent int) bool {
	if c.sources.Gate == nil {
		return false
	}
	why := c.sources.Gate(ctx, function, revision, percent)
	if why != "" {
		c.wait(function, fmt.Sprintf("the gate of %s to let it have %d%%:\n%s", revision, percent, why))
	}
	return why != ""
}

// worse says in what the revision is worse than it may be, or "". Each of the two
// tests of each step has its part of the false alarms of the whole release.
func (p plan) worse(f Figures, alpha float64) string {
	alpha /= float64(2 * len(p.steps))
	failed := func(c Count) sequential.Sample { return sequential.Sample{N: c.Calls, K: min(c.Failed, c.Calls)} }
	slow := func(c Count) sequential.Sample { return sequential.Sample{N: c.Calls, K: min(c.Slow, c.Calls)} }
	switch {
	case sequential.Worse(failed(f.From), failed(f.Revision), p.errors, alpha):
		return fmt.Sprintf("%d of its %d calls failed, and %d of %d of the one before", f.Revision.Failed, f.Revision.Calls, f.From.Failed, f.From.Calls)
	case p.slow > 0 && sequential.Worse(slow(f.From), slow(f.Revision), p.slowed, alpha):
		return fmt.Sprintf("%d of its %d calls took longer than %s, and %d of %d of the one before", f.Revision.Slow, f.Revision.Calls, api.Duration(p.slow), f.From.Slow, f.From.Calls)
	}
	return ""
}
