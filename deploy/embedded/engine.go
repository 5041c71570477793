package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Engine supervises one ClickHouse child on one data directory. All methods are
// safe for concurrent use.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	metrics metrics
	lock    *os.File
	app     api.Secret // password of user
	reader  api.Secret // password of analyst
	ready   chan struct{}

	closing  sync.Once
	closeErr error

	mu       sync.Mutex // guards what follows
	native   port
	http     port
	current  *process // nil between two lives
	restarts int
}

// New takes the data directory and the ports; it starts nothing. Either Run or
// Close gives them back. A nil reg means no metrics.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (_ *Engine, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("embedded clickhouse: %w", err)
	}
	if cfg.Library == "" {
		if cfg.Library, err = FindLibrary(); err != nil {
			return nil, err
		}
	}
	for _, p := range []*string{&cfg.Dir, &cfg.Library} { // the child has another working directory
		if *p, err = filepath.Abs(*p); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(cfg.Library); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLibrary, err)
	}
	e := &Engine{cfg: cfg, log: log, app: randomPassword(), reader: randomPassword(), ready: make(chan struct{})}
	if err := e.take(reg); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded clickhouse: %w", err), e.Close())
	}
	return e, nil
}

func (e *Engine) take(reg prometheus.Registerer) (err error) {
	if e.lock, err = lockDir(e.cfg.Dir); err != nil {
		return err
	}
	if e.native, err = reserve("address", e.cfg.Address); err != nil {
		return err
	}
	if e.http, err = reserve("httpAddress", e.cfg.HTTPAddress); err != nil {
		return err
	}
	if err := writeSettings(e.cfg, e.app, e.reader); err != nil {
		return fmt.Errorf("data directory is not writable: %w", err)
	}
	e.metrics, err = newMetrics(reg)
	return err
}

// Close gives back the data directory and the ports of an Engine that does not
// run. Run does the same at its end; more calls do nothing.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closeErr = errors.Join(e.native.release(), e.http.release())
		if e.lock != nil {
			e.closeErr = errors.Join(e.closeErr, e.lock.Close())
		}
	})
	return e.closeErr
}

// String keeps the passwords out of prints of an Engine.
func (e *Engine) String() string { return "embedded clickhouse at " + e.Addr() }

// Addr is where the native protocol listens. It changes only when another process
// took the port while the engine was down; connections made with [Engine.Options]
// follow it.
func (e *Engine) Addr() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.native.addr
}

// HTTPAddr is where the HTTP protocol listens; the same holds for it.
func (e *Engine) HTTPAddr() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.http.addr
}

// Options are for clients that read and write. They stay valid for the life of
// the Engine.
func (e *Engine) Options() clickhouse.Options { return e.options(user, e.app) }

// AnalystOptions are for clients that only read the database default.
func (e *Engine) AnalystOptions() clickhouse.Options { return e.options(analyst, e.reader) }

func (e *Engine) options(user string, password api.Secret) clickhouse.Options {
	return clickhouse.Options{
		Addr: []string{e.Addr()}, Database: "default", User: user, Password: password,
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: 5 * time.Second}
			return d.DialContext(ctx, "tcp", e.Addr())
		},
	}
}

// Ready is closed when the engine has answered its first query. When Run returns
// before that, it never is.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Restarts is how often the engine ended by itself and was started again.
func (e *Engine) Restarts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.restarts
}

// PID is the process id of the child, 0 while there is none.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return 0
	}
	return e.current.pid
}

// LogFile is where the child's own messages are.
func (e *Engine) LogFile() string { return filepath.Join(e.cfg.Dir, logFile) }
