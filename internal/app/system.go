// Package app makes one system of the parts: it starts them in the order in which
// they depend on each other, joins them where they meet, serves the HTTP API and
// stops everything again. It is the only place that knows more than one part.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/collector/otlp"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/release"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/health"
)

// Part is a part of the system that can run by itself.
type Part string

// The parts. ClickHouse runs beside the collector where no DSN names another one.
const (
	PartXDS       Part = "xds"       // registry, control plane and health checks
	PartGateway   Part = "gateway"   // Envoy
	PartCollector Part = "collector" // call logs into ClickHouse
	PartAlerting  Part = "alerting"  // rules, Alertmanager, DingTalk
	PartAPI       Part = "api"       // HTTP API
)

// Parts are all parts, in the order in which they start.
func Parts() []Part { return []Part{PartCollector, PartXDS, PartGateway, PartAlerting, PartAPI} }

// System is a running system, or a part of one.
type System struct {
	cfg   config.Config
	log   *slog.Logger
	reg   *prometheus.Registry
	parts []Part
	dir   *dataDir
	life  *lifecycle
	began time.Time

	engine    *embedded.Engine // nil with a DSN
	chOptions clickhouse.Options
	ch        *clickhouse.Client
	readers   *readers        // who may ask about calls; nil without ClickHouse
	asking    []schema.Reader // those of the configuration
	questions *questions      // that readers ask
	registry  *registry.Registry
	xds       *xds.Server
	prober    *health.Prober
	gateway   *envoy.Gateway
	collector *collector.Collector
	otlp      *otlp.Receiver
	alerting  *alerting.Alerter
	rules     *ruleBook // with alerting
	moved     *moved
	drills    *drills
	switches  *switches
	loads     activeLoads     // stress tests under way
	mark      string          // header that proves a stress test's mark; empty: all are believed
	ledger    *release.Ledger // with the control plane alone, as releases
	releases  *release.Controller
	forecasts forecasts
	gates     gatekeeper
	watched   watcher
	lifts     lifts // pods that get more than their share
	addresses Addresses

	addressesMu sync.Mutex // of addresses, once the system has started

	gatewayAddr string        // where Envoy listens, once chosen
	gatewayTLS  string        // where it listens for TLS, once chosen; empty: nowhere
	gatewayUp   chan struct{} // closed once gateway is set
}

// startTimeout bounds a start: what is not ready by then will hardly ever be, and
// an error with a name helps more than a wait.
const startTimeout = 40 * time.Second

// Start brings up the given parts (none: all) and returns when every one of them
// is ready. An error leaves nothing running and nothing held. The caller calls
// Stop; ctx bounds the start alone.
func Start(ctx context.Context, cfg config.Config, log *slog.Logger, parts ...Part) (_ *System, err error) {
	if len(parts) == 0 {
		parts = Parts()
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s, err := prepare(cfg, log, parts...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(named(cfg, err), s.Stop())
		}
	}()
	s.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	if err := s.addresses.write(s.dir.path); err != nil {
		return nil, err
	}
	if s.gateway != nil {
		s.life.start("admin port", s.followAdmin)
	}
	log.Info("ready", "took", time.Since(s.began).Round(time.Millisecond), "gateway", s.addresses.Gateway, "api", s.addresses.API)
	return s, nil
}

// prepare takes the data directory and starts nothing. The caller calls Stop.
func prepare(cfg config.Config, log *slog.Logger, parts ...Part) (*System, error) {
	dir, err := openDataDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return &System{
		cfg: cfg, log: log, reg: prometheus.NewRegistry(), parts: parts, dir: dir,
		life: newLifecycle(log), began: time.Now(), gatewayUp: make(chan struct{}),
	}, nil
}

func (s *System) has(p Part) bool { return slices.Contains(s.parts, p) }

// start is one straight line on purpose: it is the order in which things depend
// on each other. ClickHouse comes up while Envoy does, and is waited for last.
func (s *System) start(ctx context.Context) error {
	// An API without a collector has nothing to show from an engine of its own.
	if s.has(PartCollector) || s.has(PartAPI) && s.cfg.ClickHouse.DSN != "" {
		if err := s.startClickHouse(); err != nil {
			return err
		}
	}
	migrated := s.migrate(ctx)
	if s.has(PartCollector) {
		if err := s.startCollector(); err != nil {
			return err
		}
		if err := s.startOTLP(); err != nil {
			return err
		}
	}
	if s.has(PartXDS) || s.has(PartAlerting) {
		if err := s.startRegistry(); err != nil {
			return err
		}
	}
	if s.has(PartXDS) {
		if err := s.startXDS(); err != nil {
			return err
		}
	}
	if err := s.startMetrics(ctx); err != nil {
		return err
	}
	if s.has(PartAlerting) {
		if err := s.startAlerting(); err != nil {
			return err
		}
	}
	if s.registry != nil {
		s.life.start("resources", s.followResources)
	}
	if s.has(PartGateway) {
		if err := s.startGateway(ctx); err != nil {
			return err
		}
	}
	if err := s.await(ctx, "clickhouse", migrated); err != nil {
		return err
	}
	s.startAlertLedger()
	if s.gateway != nil {
		if err := s.gateway.Ready(ctx); err != nil {
			return s.orFailure(fmt.Errorf("gateway: %w", err))
		}
	}
	if err := s.awaitConfiguration(ctx); err != nil {
		return err
	}
	if s.switches != nil && s.ch != nil {
		s.switches.resume()
	}
	if err := s.startPractice(); err != nil {
		return err
	}
	if err := s.startWatch(); err != nil {
		return err
	}
	if s.has(PartAPI) {
		return s.startAPI(ctx)
	}
	return nil
}

// Failed speaks once when a part ended by itself; the system is of no use then.
func (s *System) Failed() <-chan error { return s.life.failed }

// Addresses are where the parts listen.
func (s *System) Addresses() Addresses {
	s.addressesMu.Lock()
	defer s.addressesMu.Unlock()
	return s.addresses
}

// Stop ends all parts, those first that others do not depend on, and gives back
// everything that was held.
func (s *System) Stop() error {
	if s.drills != nil {
		s.drills.stop()
	}
	if s.switches != nil {
		s.switches.stop()
	}
	if s.moved != nil {
		s.moved.stop()
	}
	err := s.life.stop()
	if s.ledger != nil {
		err = errors.Join(err, s.ledger.Close())
	}
	if s.ch != nil {
		err = errors.Join(err, s.ch.Close())
	}
	if s.engine != nil {
		err = errors.Join(err, s.engine.Close())
	}
	s.dir.close()
	return err
}

// Run starts a system and keeps it until ctx ends or a part fails.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(*System), parts ...Part) error {
	s, err := Start(ctx, cfg, log, parts...)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it started
		}
		return err
	}
	ready(s)
	select {
	case <-ctx.Done():
		err = nil
	case err = <-s.Failed():
	}
	return errors.Join(err, s.Stop())
}

func (s *System) startClickHouse() (err error) {
	if s.asking, err = readersOf(s.cfg); err != nil {
		return err
	}
	if dsn := s.cfg.ClickHouse.DSN; dsn != "" {
		text, err := registry.Resolve(dsn)
		if err != nil {
			return fmt.Errorf("clickhouse.dsn: %w", err)
		}
		if s.chOptions, err = clickhouse.ParseDSN(text); err != nil {
			return fmt.Errorf("clickhouse.dsn: %w", err)
		}
		if ca := s.cfg.ClickHouse.CAFile; ca != "" {
			if s.chOptions, err = s.chOptions.WithCA(ca); err != nil {
				return &config.FieldError{Field: "clickhouse.caFile", Err: err}
			}
		}
		s.chOptions.LocalSuffix = s.cfg.Schema().LocalSuffix()
		s.addresses.ClickHouse = s.chOptions.Addr[0]
	} else if err := s.startEngine(); err != nil {
		return err
	}
	s.readers = s.newReaders()
	if s.questions, err = newQuestions(s.reg); err != nil {
		return err
	}
	s.ch, err = clickhouse.New(s.chOptions)
	return err
}

func (s *System) startEngine() error {
	cfg := embedded.DefaultConfig()
	cfg.Dir = s.dir.sub("clickhouse")
	cfg.Library, cfg.Readers = s.cfg.ClickHouse.Library, s.asking
	cfg.Address, cfg.HTTPAddress = s.cfg.Listen.ClickHouse, s.cfg.Listen.ClickHouseHTTP
	engine, err := embedded.New(cfg, s.log.With("part", "clickhouse"), s.reg)
	if err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	s.engine = engine
	s.chOptions = engine.Options()
	s.addresses.ClickHouse, s.addresses.ClickHouseHTTP = engine.Addr(), engine.HTTPAddr()
	s.life.start("clickhouse", engine.Run)
	return nil
}

// migrate waits for ClickHouse and brings its tables up to date, while other
// parts start.
func (s *System) migrate(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if s.ch == nil {
		done <- nil
		return done
	}
	go func() {
		if s.engine != nil {
			select {
			case <-s.engine.Ready():
			case <-ctx.Done():
				done <- ctx.Err()
				return
			}
		}
		done <- s.migrateOnce(ctx)
	}()
	return done
}

// reachTimeout bounds the first answer of a ClickHouse server that others run.
const reachTimeout = 10 * time.Second

func (s *System) migrateOnce(ctx context.Context) error {
	if s.engine == nil {
		reach, cancel := context.WithTimeout(ctx, reachTimeout)
		defer cancel()
		if err := s.ch.Ping(reach); err != nil {
			return &config.FieldError{Field: "clickhouse.dsn", Err: fmt.Errorf("no answer from %s: %w: start the server, or name another", s.chOptions, err)}
		}
	}
	if _, err := schema.MigrateAs(ctx, s.chOptions, s.cfg.Schema()); err != nil {
		return err
	}
	return s.ensureReaders(ctx)
}

// await waits for a step of the start, for the end of ctx, or for a part to fail.
func (s *System) await(ctx context.Context, name string, done <-chan error) error {
	select {
	case err := <-done:
		if err != nil {
			return s.orFailure(fmt.Errorf("%s: %w", name, err))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: not ready in time, which is %v at most: %w", name, startTimeout, ctx.Err())
	case err := <-s.life.failed:
		return err
	}
}

// orFailure prefers the error of a part that failed to the symptom that was seen.
func (s *System) orFailure(symptom error) error {
	select {
	case err := <-s.life.failed:
		return err
	default:
		return symptom
	}
}

func (s *System) accessLog() string { return filepath.Join(s.dir.sub("gateway"), "access.log") }

func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}
