package crew

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
)

// Config is how a coordinator gathers agents.
type Config struct {
	Listen    string        // host:port
	Agents    int           // how many share the run
	Token     api.Secret    // that agents have to know; may be empty on loopback alone
	TLS       *tls.Config   // nil: none
	Wait      time.Duration // for all of them
	MaxOffset time.Duration // by which a clock may be off, the error of the measurement included
	Dead      time.Duration // how long an agent may be silent
	Lead      time.Duration // from the last "ready" to the begin
}

// DefaultConfig waits 5 minutes for agents whose clocks are at most 100 ms off, and
// takes one for dead that was silent for 5 s.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:0", Agents: 2, Wait: 5 * time.Minute, MaxOffset: 100 * time.Millisecond,
		Dead: 5 * time.Second, Lead: 500 * time.Millisecond,
	}
}

// Validate reports every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	host, _, err := net.SplitHostPort(c.Listen)
	check(err == nil, "listen: want host:port")
	check(c.Agents > 0 && c.Agents <= 1000, "agents: want 1 to 1000")
	check(c.Wait > 0 && c.MaxOffset > 0 && c.Dead > 0 && c.Lead > 0, "wait, max offset, dead and lead: must be above 0")
	ip := net.ParseIP(host)
	check(c.Token.Reveal() != "" || host == "localhost" || (ip != nil && ip.IsLoopback()),
		"token: must not be empty where others than this machine reach "+c.Listen+": whoever joins learns the scenario and decides what it measures")
	return errors.Join(errs...)
}

// Coordinator carries out one run with several agents. It is used once.
type Coordinator struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
}

// New listens; agents that come early wait.
func New(c Config, log *slog.Logger) (*Coordinator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for agents: %w", err)
	}
	if c.TLS != nil {
		l = tls.NewListener(l, c.TLS)
	}
	return &Coordinator{config: c, log: log, listener: l}, nil
}

// Addr is where agents join.
func (c *Coordinator) Addr() string { return c.listener.Addr().String() }

// ErrRefused means that an agent may not do what the scenario asks for.
var ErrRefused = errors.New("refused")

// Run gathers the agents, shares the scenario, begins and waits for the end. An agent
// that is lost, and the end of ctx, stop all others; the result is invalid then. The
// error is that of gathering, when nothing was sent yet.
func (c *Coordinator) Run(ctx context.Context, spec api.ScenarioSpec, o loadtest.Options) (report.Result, error) {
	defer c.listener.Close()
	if o.Run == "" {
		o.Run = loadtest.NewRunID()
	}
	o.Share = attack.Share{Of: c.config.Agents}
	if err := loadtest.Check(spec, o); err != nil {
		return report.Result{}, err
	}
	members, err := c.gather(ctx)
	defer func() {
		for _, m := range members {
			_ = m.conn.Close()
		}
	}()
	if err != nil {
		return report.Result{}, err
	}
	stopAlive := keepAlive(members)
	defer stopAlive()
	if err := c.assign(members, spec, o); err != nil {
		return report.Result{}, err
	}
	seen, refused, err := c.firstPhase(ctx, members, spec, o)
	if err != nil || refused != nil {
		for _, m := range members {
			_ = m.send(message{Stop: true}) // those that are there hear it
		}
		return *cmp.Or(refused, &report.Result{}), err
	}
	begin := time.Now().Add(c.config.Lead)
	r := &running{
		coordinator: c, members: members, began: begin, ended: make(chan struct{}), singles: o.Results != nil, results: map[*member]*os.File{},
		progress: map[*member]attack.Progress{}, parts: map[*member]loadtest.Part{},
	}
	for _, m := range members {
		if err := m.send(message{Begin: begin.Add(m.offset).UnixNano()}); err != nil {
			r.lose(m, err)
		}
	}
	parts, lost := r.wait(ctx, o.Progress)
	defer r.closeResults()
	if o.Results != nil {
		if err := r.mergeResults(o.Results); err != nil {
			lost = append(lost, err.Error())
		}
	}
	joined, err := loadtest.Join(spec, o, parts, lost)
	joined.Canary = seen
	return joined, err
}

// firstPhase is none where none is wanted.
func (c *Coordinator) firstPhase(ctx context.Context, members []*member, spec api.ScenarioSpec, o loadtest.Options) (*report.Canary, *report.Result, error) {
	d, err := loadtest.CanaryPhase(spec, o)
	if err != nil || d <= 0 {
		return nil, nil, err
	}
	return c.try(ctx, members, spec, o, d)
}

// assign gives every agent its share and waits until all are ready.
func (c *Coordinator) assign(members []*member, spec api.ScenarioSpec, o loadtest.Options) error {
	errs := make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() {
			share := attack.Share{Index: i, Of: len(members)}
			err := m.send(message{Job: &job{Run: o.Run, Name: o.Name, Spec: spec, Seed: o.Seed, Share: share, MaxBytes: o.Limits.Bytes(), Results: o.Results != nil}})
			if err == nil {
				_, err = m.receive(c.config.Dead, maxMessage) // "ready"
			}
			var no *RefusedError
			switch {
			case errors.As(err, &no):
				errs[i] = fmt.Errorf("agent %s has %w: %w", m.name, ErrRefused, err)
			case err != nil:
				errs[i] = fmt.Errorf("agent %s: %w", m.name, err)
			}
		})
	}
	all.Wait()
	err := errors.Join(errs...)
	if err != nil {
		for _, m := range members {
			_ = m.send(message{Stop: true}) // those that are there hear it
		}
	}
	return err
}

// keepAlive tells every agent once a second that the coordinator is there.
func keepAlive(members []*member) (stop func()) {
	ended := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			for _, m := range members {
				_ = m.send(message{Alive: true}) // who is gone is noticed by receive
			}
		}
	})
	return func() { close(ended); all.Wait() }
}
