package alerting

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/engine"
	"github.com/kongdao/kongdao/alerting/forward"
	"github.com/kongdao/kongdao/alerting/ledger"
	"github.com/kongdao/kongdao/alerting/link"
	"github.com/kongdao/kongdao/alerting/outbox"
	"github.com/kongdao/kongdao/alerting/people"
	"github.com/kongdao/kongdao/alerting/reply"
	"github.com/kongdao/kongdao/alerting/rule"
)

// Alerter is the whole way from metrics to robots.
type Alerter struct {
	cfg    Config
	log    *slog.Logger
	rule   *rule.Evaluator
	engine *engine.Engine
	outbox *outbox.Outbox
	ledger *ledger.Log
	// forward is nil when no other Alertmanager is told.
	forward *forward.Forwarder
	// peers is nil when there is no other instance.
	peers *peers

	render dingtalk.Renderer
	inner  *prometheus.Registry // what Prometheus' and Alertmanager's code counts
	people atomic.Pointer[people.Directory]
	links  *link.Links // nil: there are none
	charts charts

	answers answers

	mu      sync.RWMutex // guards all below
	clients map[string]*dingtalk.Client
	now     Config // cfg with the robots, channels and Alertmanager's configuration of now
}

// New opens the files and binds the listeners; nothing is scraped or sent yet.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (_ *Alerter, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("alerting: %w", err)
	}
	a := &Alerter{cfg: cfg, now: cfg, log: log, inner: prometheus.NewRegistry()}
	var opened []io.Closer
	defer func() {
		if err == nil {
			return
		}
		for _, c := range slices.Backward(opened) {
			err = errors.Join(err, c.Close())
		}
	}()
	for _, open := range []func(prometheus.Registerer) (io.Closer, error){
		a.openLedger, a.openBook, a.openLinks, a.openPeers, a.openOutbox, a.openEngine, a.openForwarder, a.openRules,
	} {
		c, err := open(reg)
		if err != nil {
			return nil, err
		}
		if c != nil {
			opened = append(opened, c)
		}
	}
	if err := a.register(reg); err != nil {
		return nil, err
	}
	return a, nil
}

// The pieces, in the order in which they need each other. Each returns what gives back
// what it took, or nil.

func (a *Alerter) openLedger(prometheus.Registerer) (c io.Closer, err error) {
	if a.clients, err = clients(a.cfg.Robots); err != nil {
		return nil, err
	}
	a.ledger, err = ledger.Open(ledger.DefaultConfig(filepath.Join(a.cfg.Dir, "ledger")))
	return a.ledger, err
}

func (a *Alerter) openBook(prometheus.Registerer) (io.Closer, error) {
	if err := a.listen(a.log); err != nil {
		return nil, err
	}
	return a.answers.book, nil
}

func (a *Alerter) openLinks(prometheus.Registerer) (c io.Closer, err error) {
	if a.links, err = link.New(a.cfg.links()); err != nil {
		return nil, err
	}
	a.links.Handle(chartPath, a.serveChart)
	a.links.Handle(reply.Path, a.answers.page.ServeAnswer)
	return a.links, nil
}

func (a *Alerter) openPeers(prometheus.Registerer) (c io.Closer, err error) {
	a.peers, err = newPeers(a.cfg.Cluster, a.log, a.inner)
	return a.peers, err
}

func (a *Alerter) openOutbox(reg prometheus.Registerer) (c io.Closer, err error) {
	out := a.cfg.outbox()
	out.Notify, out.Record, out.Recorded = a.notify, a.Record, a.ledger.Sync
	a.people.Store(a.cfg.Messages.People)
	a.message(&out.Renderer)
	a.render = out.Renderer
	a.peers.prepare(&out)
	a.outbox, err = outbox.New(out, a.send, a.log, reg)
	return a.outbox, err
}

func (a *Alerter) openEngine(prometheus.Registerer) (c io.Closer, err error) {
	eng := a.cfg.engine()
	a.peers.join(a.outbox, &eng)
	eng.Reload = a.Reload
	eng.Owners = engine.Owners{Team: a.team, Channel: a.channel}
	a.engine, err = engine.New(eng, a.accept, a.log, a.inner)
	return a.engine, err
}

func (a *Alerter) openRules(prometheus.Registerer) (c io.Closer, err error) {
	a.rule, err = rule.New(a.cfg.rule(), a.fromRules, a.log, a.inner)
	return a.rule, err
}

func (a *Alerter) register(reg prometheus.Registerer) error {
	failing := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kongdao_alerting_failing_rules",
		Help: "Alert rules whose last evaluation failed.",
	}, func() float64 { return float64(a.rule.Failing()) })
	for _, c := range append(a.streamMetrics(), failing) {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Inner gathers the metrics of the embedded engines under the names that
// Prometheus and Alertmanager give them, for whoever wants to serve them too.
func (a *Alerter) Inner() prometheus.Gatherer { return a.inner }

// Addr is where Alertmanager's API v2 listens, host:port.
func (a *Alerter) Addr() string { return a.engine.Addr() }

// AddrPrometheus is where Prometheus' query API listens, host:port.
func (a *Alerter) AddrPrometheus() string { return a.rule.Addr() }

// Run works until ctx ends, and returns nil then. It may be called once.
func (a *Alerter) Run(ctx context.Context) error {
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	// They end in the order in which alerts flow, so that none gets stuck halfway.
	stages := []struct {
		name string
		run  func(context.Context) error
	}{{"links", a.links.Run}, {"rules", a.rule.Run}, {"forwarding", a.forwarding}, {"alertmanager", a.engine.Run}, {"answers", a.runAnswers}, {"outbox", a.outbox.Run}, {"cluster", a.clustering}}
	errs := make([]error, len(stages))
	before := ctx
	var running sync.WaitGroup
	for i, s := range stages {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended, end := context.WithCancel(context.Background())
		context.AfterFunc(before, stop)
		running.Go(func() {
			defer end()
			if err := s.run(own); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.name, err)
			}
			fail()
		})
		before = ended
	}
	running.Wait()
	return errors.Join(append(errs, a.outbox.Close(), a.answers.book.Close(), a.ledger.Close())...)
}

// SetRules replaces the users' rules by these texts, by name; the shipped rules
// stay. A text that is wrong is named in the error and the one that ran under its
// name runs on; the others apply.
func (a *Alerter) SetRules(groups map[string]string) error {
	return a.rule.SetRules(a.cfg.withPack(groups))
}

// SetRobots replaces all robots and channels. If one is wrong, or Alertmanager's
// configuration names one that would be gone, nothing changes.
func (a *Alerter) SetRobots(robots []Robot, channels ...Channel) error {
	next, err := clients(robots)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	cfg := a.now
	cfg.Robots, cfg.Channels = robots, channels
	all, err := cfg.channels()
	if err != nil {
		return err
	}
	if err := a.engine.Reconfigure(cfg.engine().Alertmanager, addressees(channels, robots)); err != nil {
		return err
	}
	a.clients, a.now = next, cfg
	if err := a.setApps(robots); err != nil {
		return err
	}
	return a.outbox.SetChannels(all)
}

// Test sends a message to a robot right away, past the outbox.
func (a *Alerter) Test(ctx context.Context, robot string) error {
	return a.send(ctx, robot, a.render.Test(robot, time.Now()))
}

func (a *Alerter) send(ctx context.Context, robot string, m dingtalk.Message) error {
	a.mu.RLock()
	c := a.clients[robot]
	a.mu.RUnlock()
	if c == nil {
		return &dingtalk.SendError{Robot: robot, Kind: dingtalk.Permanent, Message: "there is no such robot"}
	}
	if !a.answers.chat.Has(robot) {
		return c.Send(ctx, m)
	}
	err := a.answers.chat.Send(ctx, robot, m)
	if err != nil && dingtalk.KindOf(err) == dingtalk.Permanent && c.HasURL() {
		a.log.Error("card refused, sent as a message without buttons", "robot", robot, "err", err)
		return c.Send(ctx, m)
	}
	return err
}

// Record adds to the ledger. That is no reason to hold up a message: what cannot be
// written is logged.
func (a *Alerter) Record(events ...ledger.Event) {
	if err := a.ledger.Append(events...); err != nil {
		a.log.Error("ledger of messages cannot be written", "err", err)
	}
}

// Ledger is what became of messages, for whoever keeps it.
func (a *Alerter) Ledger() *ledger.Log { return a.ledger }

func clients(robots []Robot) (map[string]*dingtalk.Client, error) {
	cs := make(map[string]*dingtalk.Client, len(robots))
	var errs []error
	for _, r := range robots {
		c, err := dingtalk.NewClient(r, nil)
		errs = append(errs, err)
		cs[r.Name] = c
	}
	return cs, errors.Join(errs...)
}
