package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	apiv2 "github.com/prometheus/alertmanager/api/v2"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// Engine is a running Alertmanager.
type Engine struct {
	cfg      Config
	secrets  *secrets
	deliver  Deliver
	log      *slog.Logger
	listener net.Listener
	external *url.URL

	// Made once.
	alerts   *mem.Alerts
	silences *silence.Silences
	silencer *silencer
	sent     *nflog.Log
	keeper   *keeper
	// What changed since the snapshots on disk.
	silenceChanges, sentChanges *deltas

	groups   marker.GroupMarker
	pipeline *notify.PipelineBuilder
	metrics  *dispatch.DispatcherMetrics
	api      *apiv2.API
	stop     context.CancelFunc // of alerts

	mu      sync.RWMutex // guards all below
	conf    *amconfig.Config
	robots  []string
	routing *routing // nil while Run does not run
}

// routing is what a configuration makes; it is replaced as a whole.
type routing struct {
	inhibitor  *inhibit.Inhibitor
	dispatcher *dispatch.Dispatcher
	running    sync.WaitGroup
}

// New reads the files, binds the listener and tells nobody anything yet. Each
// group to be told goes to deliver.
func New(cfg Config, deliver Deliver, log *slog.Logger, reg prometheus.Registerer) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	conf, err := parse(cfg.Alertmanager, cfg.Robots)
	if err != nil {
		return nil, err
	}
	hidden := &secrets{}
	hidden.add(conf)
	log = slog.New(hider{log.Handler(), hidden})
	e := &Engine{cfg: cfg, secrets: hidden, deliver: deliver, log: log, conf: conf, robots: cfg.Robots}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make engine folder: %w", err)
	}
	if e.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen for alerts: %w", err)
	}
	if err := e.wire(reg); err != nil {
		e.closeFiles()
		e.listener.Close()
		return nil, err
	}
	// Before anybody else puts alerts: what they say is newer.
	if err := e.restore(context.Background()); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// wire makes the pieces that outlive a configuration. It is one straight
// function: each piece needs those before it.
func (e *Engine) wire(reg prometheus.Registerer) (err error) {
	events, flags := eventrecorder.NopRecorder(), featurecontrol.NoopFlags{}
	if e.external, err = url.Parse(orElse(e.cfg.ExternalURL, "http://"+e.Addr())); err != nil {
		return fmt.Errorf("external url: %w", err)
	}
	e.silences, err = silence.New(silence.Options{
		SnapshotFile: e.file("silences"), Retention: e.cfg.Retention, Logger: e.log, Metrics: reg, EventRecorder: events,
	})
	if err != nil {
		return fmt.Errorf("read silences: %w", err)
	}
	e.sent, err = nflog.New(nflog.Options{SnapshotFile: e.file("nflog"), Retention: e.cfg.Retention, Logger: e.log, Metrics: reg})
	if err != nil {
		return fmt.Errorf("read notification log: %w", err)
	}
	if err := e.openFiles(); err != nil {
		return err
	}
	e.shareWith(e.cfg.Cluster, reg)
	e.silencer = newSilencer(e.silences, e.log)
	e.keeper = newKeeper(e.silencer.Silencer, e.log)
	ctx, stop := context.WithCancel(context.Background())
	e.alerts, err = mem.NewAlerts(ctx, time.Minute, 0, e.keeper, e.log, events, reg, flags)
	if err != nil {
		stop()
		return fmt.Errorf("make alert store: %w", err)
	}
	e.stop = func() { stop(); e.alerts.Close() }
	e.groups = marker.NewGroupMarker()
	e.pipeline = notify.NewPipelineBuilder(reg, flags, events)
	e.metrics = dispatch.NewDispatcherMetrics(false, reg, flags)
	e.api, err = apiv2.NewAPI(e.owned(), e.alertGroups, e.groups.Muted, e.silences, e.cfg.Cluster.forAPI(), e.log, reg)
	if err != nil {
		e.stop()
		return fmt.Errorf("make api: %w", err)
	}
	return nil
}

// Addr is where API v2 listens, host:port.
func (e *Engine) Addr() string { return e.listener.Addr().String() }

// Run works until ctx ends and returns nil then. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	defer e.stop()
	e.mu.Lock()
	r, err := e.route(e.conf, e.robots)
	e.routing = r
	e.mu.Unlock()
	if err != nil {
		e.listener.Close()
		return err
	}
	stopFiles := e.keepFiles()
	err = e.serve(ctx)
	e.mu.Lock()
	r, e.routing = e.routing, nil
	e.mu.Unlock()
	r.stop()
	stopFiles()
	err = errors.Join(err, e.save())
	e.closeFiles()
	return err
}

// Close gives back what New took, of an engine that never ran.
func (e *Engine) Close() error {
	e.stop()
	e.closeFiles()
	return e.listener.Close()
}

// Reconfigure replaces configuration and robots. A configuration that is wrong
// changes nothing.
func (e *Engine) Reconfigure(alertmanager string, robots []string) error {
	conf, err := parse(alertmanager, robots)
	if err != nil {
		return err
	}
	e.secrets.add(conf)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.routing != nil {
		if _, err := e.receivers(conf, robots); err != nil {
			return err
		}
		e.routing.stop()
		next, err := e.route(conf, robots)
		if err != nil { // cannot be: receivers was its only way to fail
			return err
		}
		e.routing = next
	}
	e.conf, e.robots = conf, slices.Clone(robots)
	return nil
}

// Put takes alerts in. An alert that is not put again ends at its EndsAt.
func (e *Engine) Put(ctx context.Context, alerts ...model.Alert) error {
	now := time.Now()
	in := make([]*alert.Alert, 0, len(alerts))
	for _, a := range alerts {
		in = append(in, &alert.Alert{Alert: a, UpdatedAt: now})
	}
	if err := e.owned().Put(ctx, in...); err != nil {
		return fmt.Errorf("put alerts: %w", err)
	}
	return nil
}

func (e *Engine) receivers(conf *amconfig.Config, robots []string) (map[string][]notify.Integration, error) {
	tmpl, err := e.templates(conf)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]notify.Integration, len(conf.Receivers))
	for _, r := range conf.Receivers {
		list, err := receiver.BuildReceiverIntegrations(r, tmpl, e.log)
		if err != nil {
			return nil, fmt.Errorf("alertmanager: receiver %q: %w", r.Name, withoutValues(err))
		}
		if robot := robotOf(r.Name, robots); robot != "" {
			n := e.notifier(r.Name, robot, robots)
			list = append(list, notify.NewIntegration(n, n, "dingtalk", 0, r.Name))
		}
		if len(list) == 0 && r.Name != receiverNone {
			e.log.Warn("no robot is configured, alerts of this receiver go nowhere", "receiver", r.Name)
		}
		all[r.Name] = list
	}
	return all, nil
}

func (e *Engine) templates(conf *amconfig.Config) (*template.Template, error) {
	tmpl, err := template.FromGlobs(conf.Templates)
	if err != nil {
		return nil, fmt.Errorf("alertmanager: templates: %w", err)
	}
	tmpl.ExternalURL = e.external
	return tmpl, nil
}

// route makes and starts what a configuration asks for. Inhibition comes first:
// an alert that is inhibited must not slip through while its source is loading.
func (e *Engine) route(conf *amconfig.Config, robots []string) (*routing, error) {
	receivers, err := e.receivers(conf, robots)
	if err != nil {
		return nil, err
	}
	tmpl, err := e.templates(conf)
	if err != nil {
		return nil, err
	}
	intervals := map[string][]timeinterval.TimeInterval{}
	for _, t := range conf.MuteTimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	for _, t := range conf.TimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	events := eventrecorder.NopRecorder()
	r := &routing{inhibitor: inhibit.NewInhibitor(e.alerts, conf.InhibitRules, e.log, events)}
	wait, peer := e.cfg.Cluster.forPipeline()
	stage := e.pipeline.New(receivers, wait, r.inhibitor, e.silencer.Silencer, timeinterval.NewIntervener(intervals), e.groups, deferring{e.sent, e.cfg.Cluster.lately}, peer)
	e.silencer.speedUp(stage)
	timeout := func(d time.Duration) time.Duration { return max(d, notify.MinTimeout) + wait() }
	r.dispatcher = dispatch.NewDispatcher(e.alerts, dispatch.NewRoute(conf.Route, nil), stage, e.groups, timeout,
		30*time.Second, nil, quietly(e.log), events, e.metrics, tmpl)
	e.api.Update(conf, func(ctx context.Context, labels model.LabelSet) {
		r.inhibitor.Mutes(ctx, labels)
		e.silencer.Mutes(ctx, labels)
	})
	r.running.Go(r.inhibitor.Run)
	r.inhibitor.WaitForLoading()
	r.running.Go(func() { r.dispatcher.Run(time.Now()) })
	r.dispatcher.WaitForLoading()
	return r, nil
}

func (r *routing) stop() {
	r.dispatcher.Stop()
	r.inhibitor.Stop()
	r.running.Wait()
}

func (e *Engine) alertGroups(ctx context.Context, routes func(*dispatch.Route) bool, alerts func(*alert.Alert, time.Time) bool) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.routing == nil {
		return nil, nil, errors.New("not running")
	}
	return e.routing.dispatcher.Groups(ctx, routes, alerts)
}

func (e *Engine) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") }
	mux.HandleFunc("GET /-/healthy", ok)
	mux.HandleFunc("GET /-/ready", ok)
	mux.Handle("/api/v2/", e.api.Handler)
	mux.HandleFunc("GET /api/v2/status", e.status)
	mux.HandleFunc("POST /-/reload", e.reload)
	mux.HandleFunc("POST /webhook/{receiver}", e.webhook)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(e.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve alert api: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(end) != nil {
		s.Close()
	}
	<-done //nolint:errcheck // Serve ended because of Shutdown
	return nil
}

func (e *Engine) file(name string) string { return filepath.Join(e.cfg.Dir, name) }

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
