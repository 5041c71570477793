package rule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
)

// Notify takes alerts that fire or have just ended. A firing alert that is not
// reported again by its EndsAt is over.
type Notify func(ctx context.Context, alerts ...model.Alert) error

// Evaluator scrapes, evaluates and serves.
type Evaluator struct {
	cfg      Config
	notify   Notify
	log      *slog.Logger
	reg      prometheus.Registerer
	listener net.Listener
	external *url.URL
	texts    *texts
	logs     *logs
	asker    atomic.Pointer[asker] // nil while Run does not run

	mu    sync.Mutex
	rules *rules.Manager // nil while Run does not run
}

// New binds the listener and starts nothing.
func New(cfg Config, notify Notify, log *slog.Logger, reg prometheus.Registerer) (*Evaluator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("rule: %w", err)
	}
	e := &Evaluator{cfg: cfg, notify: notify, log: log, reg: reg, texts: newTexts()}
	e.texts.leastLogInterval, e.logs = cfg.LeastLogInterval, newLogs(cfg.Logs, e.texts)
	parsed, err := e.texts.with(cfg.Rules)
	if err != nil {
		return nil, err
	}
	e.texts.set(parsed)
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make metrics folder: %w", err)
	}
	if e.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen for queries: %w", err)
	}
	address := cfg.ExternalURL
	if address == "" {
		address = "http://" + e.Addr()
	}
	if e.external, err = url.Parse(address); err != nil {
		e.listener.Close()
		return nil, fmt.Errorf("external url: %w", err)
	}
	return e, nil
}

// Addr is where queries are answered, host:port.
func (e *Evaluator) Addr() string { return e.listener.Addr().String() }

// SetRules replaces all rules: those of names that are gone end, those that did
// not change keep their state. A text that is wrong is named in the error; the
// text that ran under its name runs on, and all others apply.
func (e *Evaluator) SetRules(groups map[string]string) error {
	parsed, bad := e.texts.with(groups)
	e.mu.Lock()
	defer e.mu.Unlock()
	names := e.texts.set(parsed)
	if e.rules == nil {
		return bad
	}
	return errors.Join(bad, e.load(e.rules, names))
}

// Failing is how many rules failed when they were last evaluated, also those log
// rules whose last answer still stands.
func (e *Evaluator) Failing() int {
	e.mu.Lock()
	m := e.rules
	e.mu.Unlock()
	if m == nil {
		return 0
	}
	n := 0
	for _, r := range m.Rules() {
		if r.LastError() != nil || e.logs.failing(r.Query().String()) != nil {
			n++
		}
	}
	return n
}

// Close gives back what New took, of an evaluator that never ran.
func (e *Evaluator) Close() error { return e.listener.Close() }

func (e *Evaluator) load(m *rules.Manager, names []string) error {
	err := m.Update(e.cfg.EvaluationInterval, names, labels.EmptyLabels(), e.external.String(), nil)
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	asked := map[string]bool{}
	for _, r := range m.Rules() {
		asked[r.Query().String()] = true
	}
	e.logs.keep(asked)
	return nil
}

// Run works until ctx ends and returns nil then. It may be called once.
func (e *Evaluator) Run(ctx context.Context) error {
	db, err := openDatabase(e.cfg, e.log, e.reg)
	if err != nil {
		e.listener.Close()
		return err
	}
	err = e.run(ctx, db)
	if e := db.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("close metrics: %w", e))
	}
	return err
}

func (e *Evaluator) run(ctx context.Context, db *database) error {
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: e.log, Reg: e.reg, Parser: e.texts.parser,
		MaxSamples: 1_000_000, // of 16 bytes: no query takes more than that memory
		Timeout:    30 * time.Second, LookbackDelta: lookback(e.cfg.ScrapeInterval),
		EnableAtModifier: true, EnableNegativeOffset: true,
	})
	defer engine.Close()
	e.logs.next = rules.EngineQueryFunc(engine, db)
	e.asker.Store(&asker{engine, db})
	defer e.asker.Store(nil)
	manager := rules.NewManager(&rules.ManagerOptions{
		ExternalURL: e.external, QueryFunc: e.logs.query, NotifyFunc: e.report,
		Context: context.WithoutCancel(ctx), AppendableV2: db, Queryable: db, Logger: e.log, Registerer: e.reg,
		OutageTolerance: time.Hour, ForGracePeriod: 10 * e.cfg.EvaluationInterval, ResendDelay: e.cfg.ResendDelay,
		GroupLoader: e.texts, Parser: e.texts.parser, RestoreNewRuleGroups: true,
	})
	scraper, err := newScraper(e.cfg, db, e.log, e.reg)
	if err != nil {
		e.listener.Close()
		return err
	}
	if err := e.startRules(manager); err != nil {
		e.listener.Close()
		return err
	}
	var running sync.WaitGroup
	running.Go(manager.Run)
	stopScrape := scraper.start(&running)
	err = serve(ctx, e.listener, newAPI(e, engine, db, scraper.Manager, manager))
	e.mu.Lock()
	e.rules = nil
	e.mu.Unlock()
	manager.Stop()
	stopScrape()
	running.Wait()
	return err
}

func (e *Evaluator) startRules(m *rules.Manager) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.texts.mu.Lock()
	parsed := e.texts.parsed
	e.texts.mu.Unlock()
	if err := e.load(m, e.texts.set(parsed)); err != nil {
		return err
	}
	e.rules = m
	return nil
}

// report is called by the rule manager after each evaluation.
func (e *Evaluator) report(ctx context.Context, expr string, alerts ...*rules.Alert) {
	if len(alerts) == 0 {
		return
	}
	out := make([]model.Alert, 0, len(alerts))
	for _, a := range alerts {
		m := model.Alert{
			Labels: set(a.Labels), Annotations: set(a.Annotations), StartsAt: a.FiredAt, EndsAt: a.ValidUntil,
			GeneratorURL: e.generator(expr),
		}
		if !a.ResolvedAt.IsZero() {
			m.EndsAt = a.ResolvedAt
		}
		out = append(out, m)
	}
	if err := e.notify(ctx, out...); err != nil { // reported again after ResendDelay
		e.log.Error("alerts cannot be handed over", "alerts", len(out), "err", err)
	}
}

// generator is where an alert comes from. SQL is not asked by an address.
func (e *Evaluator) generator(expr string) string {
	if strings.HasPrefix(expr, logMetric+"{") {
		return e.external.JoinPath("/api/v1/rules").String()
	}
	return e.external.JoinPath("/api/v1/query").String() + "?query=" + url.QueryEscape(expr)
}

func set(ls labels.Labels) model.LabelSet {
	s := model.LabelSet{}
	ls.Range(func(l labels.Label) { s[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return s
}

// lookback is how old a sample may be to count as current: a few missed scrapes,
// so that what a dead target last said does not linger for five minutes.
func lookback(scrapeInterval time.Duration) time.Duration {
	return max(6*scrapeInterval, 10*time.Second)
}

var _ rules.GroupLoader = (*texts)(nil)

// scraper fills the database.
type scraper struct {
	*scrape.Manager
	targets targetSets
}
