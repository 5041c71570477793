package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/people"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/collector/filelog"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/registry"
)

func (s *System) startCollector() error {
	cfg := collector.DefaultConfig()
	cfg.Dir = s.dir.sub("collector")
	cfg.Source = collector.Source(s.cfg.Collector.Source)
	cfg.AccessLog = s.accessLog()
	if s.has(PartGateway) {
		cfg.Counters = s.gatewayCounters
		cfg.Reopen = s.reopenLogs // without Envoy beside it the file is somebody else's to rotate
	}
	cfg.Gateway, cfg.Zone = s.cfg.Envoy.Node, s.cfg.Envoy.Zone
	cfg.ALSListen = s.cfg.Listen.ALS
	cfg.FlushInterval, cfg.MaxRows, cfg.WALBytes = s.cfg.Collector.FlushInterval, s.cfg.Collector.MaxRows, s.cfg.Collector.WALBytes
	var err error
	if cfg.Headers, err = calllog.NewHeaders(s.cfg.Collector.Headers); err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	cfg.RotateBytes, cfg.FileBytes = s.cfg.Collector.RotateBytes, s.cfg.Collector.FileBytes
	cfg.FileOverflow = filelog.Overflow(s.cfg.Collector.FileOverflow)
	for _, f := range s.cfg.Collector.Files {
		cfg.Files = append(cfg.Files, collector.File(f))
	}
	cfg.Redact, cfg.Tenants = s.cfg.Collector.Policy(), s.cfg.Sampling()
	c, err := collector.New(cfg, s.chOptions, s.log.With("part", "collector"), s.reg)
	if err != nil {
		return err
	}
	s.collector = c
	s.addresses.ALS = c.ALSAddr()
	s.life.start("collector", c.Run)
	return nil
}

// reopenLogs is asked for by the collector, which starts before the gateway.
func (s *System) reopenLogs(ctx context.Context) error {
	select {
	case <-s.gatewayUp:
		return s.gateway.ReopenLogs(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *System) startMetrics(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metricsHandler())
	addr, err := s.serveHTTP(ctx, "metrics", s.cfg.Listen.Metrics, mux)
	s.addresses.Metrics = addr
	return err
}

func (s *System) metricsHandler() http.Handler {
	return promhttp.HandlerFor(s.reg, promhttp.HandlerOpts{})
}

// serveHTTP serves h as a part of its own and returns the real address.
func (s *System) serveHTTP(ctx context.Context, name, address string, h http.Handler) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	ending, end := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), shutdownKey{}, ending)
		},
	}
	server.RegisterOnShutdown(end)
	s.life.start(name, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() {
			grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			if server.Shutdown(grace) != nil {
				_ = server.Close()
			}
		})
		defer stop()
		defer end()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return l.Addr().String(), nil
}

// shutdownKey is the key of a context that ends when the server of a request stops.
type shutdownKey struct{}

// untilShutdown is the context of a request that streams: it ends when the server
// begins to stop, which otherwise waits for requests in flight.
func untilShutdown(ctx context.Context) (context.Context, context.CancelFunc) {
	ending, ok := ctx.Value(shutdownKey{}).(context.Context)
	ctx, cancel := context.WithCancel(ctx)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(ending, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (s *System) startAlerting() error {
	cfg := alerting.DefaultConfig(s.dir.sub("alerting"))
	cfg.Listen, cfg.ListenPrometheus = s.cfg.Listen.Alertmanager, s.cfg.Listen.Prometheus
	cfg.ScrapeInterval, cfg.EvaluationInterval = s.cfg.Alerting.ScrapeInterval, s.cfg.Alerting.EvaluationInterval
	cfg.ExternalURL, cfg.LinkBase, cfg.Lang = s.cfg.Alerting.ExternalURL, s.cfg.Alerting.LinkBase, s.cfg.Alerting.Lang
	cfg.Retention, cfg.Fallback = s.cfg.Alerting.Retention, s.cfg.Alerting.Fallback
	cfg.Cluster = s.cfg.Alerting.Cluster.Cluster()
	cfg.Forward = alerting.Forwarding{URLs: s.cfg.Alerting.ForwardTo, TokenFile: s.cfg.Alerting.ForwardTokenFile}
	cfg.Targets = append([]string{s.addresses.Metrics}, s.cfg.Alerting.Targets...)
	var err error
	cfg.ReadAlertmanager = s.cfg.Alerting.Alertmanager
	if cfg.Alertmanager, err = s.cfg.Alerting.Alertmanager(); err != nil {
		return err
	}
	if cfg.Messages.Templates, err = s.cfg.Alerting.TemplateText(); err != nil {
		return err
	}
	cfg.Links.ListenLinks, cfg.Links.LinksURL = s.cfg.Listen.Links, s.cfg.Alerting.LinksURL
	key, err := registry.Resolve(s.cfg.Alerting.LinksKey)
	if err != nil {
		return fmt.Errorf("alerting.linksKey: %w", err)
	}
	cfg.Links.LinksKey = api.Secret(key)
	cfg.TimeZone = s.cfg.Alerting.TimeZone
	cfg.Messages.Type = dingtalk.Type(s.cfg.Alerting.Messages)
	if s.cfg.Alerting.GrafanaURL != "" {
		cfg.Messages.Dashboard = s.dashboardOf
	}
	if s.ledger != nil {
		cfg.Messages.Released = s.lastReleased
	}
	var set api.Set
	if s.registry != nil {
		set = s.registry.Current().Set
		cfg.Messages.People = people.New(set)
		cfg.Robots = s.robots(set)
		cfg.Channels = s.channels(set, cfg)
		cfg.Escalation = s.escalation(cfg)
	}
	cfg.Rules, cfg.Logs = s.startRules(set), s.logQuery()
	a, err := alerting.New(cfg, s.log.With("part", "alerting"), s.reg)
	if err != nil {
		return err
	}
	s.alerting = a
	s.addresses.Alertmanager, s.addresses.Prometheus = a.Addr(), a.AddrPrometheus()
	s.addresses.Links = a.AddrLinks()
	s.life.start("alerting", a.Run)
	if s.cfg.Alerting.AlertmanagerConfig != "" {
		s.life.start("alertmanager's configuration", func(ctx context.Context) error { return s.followAlertmanager(ctx, cfg.Alertmanager) })
	}
	if len(s.cfg.Alerting.RuleFiles) > 0 {
		s.life.start("rule files", s.followRuleFiles)
	}
	return nil
}

// applyAlerting takes over changed robots and rules. What is wrong is named and
// what ran before runs on.
func (s *System) applyAlerting(set api.Set) {
	s.alerting.SetPeople(people.New(set))
	if err := s.setRobots(set); err != nil {
		s.log.Error("robots not changed", "error", err)
	}
	s.rules.set(ruleTexts(set))
	s.applyRules(slog.LevelDebug)
}

// robots resolves the secrets of all robots; one whose secret is missing or wrong is
// left out and named, so that the others still speak.
func (s *System) robots(set api.Set) []alerting.Robot {
	var robots []alerting.Robot
	for _, r := range set.Robots {
		url, err := registry.Resolve(r.Spec.URL)
		secret, errSecret := registry.Resolve(r.Spec.Secret)
		app, errApp := robotApp(r.Spec.App)
		robot := alerting.Robot{Name: r.Name, URL: api.Secret(url), Secret: api.Secret(secret), App: app}
		err = errors.Join(err, errSecret, errApp)
		if err == nil {
			err = robot.Validate() // what a reference stood for may be no address
		}
		if err != nil {
			s.log.Error("robot left out", "robot", r.Name, "source", r.Source.String(), "error", err)
			continue
		}
		robots = append(robots, robot)
	}
	return robots
}
