package envoy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Gateway is one Envoy, kept alive.
type Gateway struct {
	cfg    Config
	log    *slog.Logger
	binary Binary
	addr   string
	http   *port    // nil once given back
	tls    *port    // nil without an entrance with TLS, and once given back
	lock   *os.File // on the folder
	side   *port    // of the admin port; nil once given back

	secrets map[string]string // what Envoy was given last

	at       atomic.Pointer[admin] // of the process that takes calls
	written  string                // the admin address in the bootstrap
	running  []*process            // owned by Run; two while one takes the place of the other
	pid      atomic.Int64
	restarts atomic.Int64
	lived    atomic.Bool // Envoy was ready at least once
	killed   atomic.Bool // by Kill, and not started again yet
	ended    atomic.Pointer[time.Time]
	replace  chan chan error // asks Run for another Envoy in the place of this one
	moved    chan struct{}   // size 1: the admin port is another one
	busy     int             // times in a row that Replace found Envoy busy
	wedged   *prometheus.CounterVec
	counter  prometheus.Counter
}

// New finds Envoy, takes the folder and the gateway's port, and ends an Envoy
// that a former owner of the folder left behind. It starts nothing. Errors that
// a user can mend wrap [ErrNotFound], [ErrPortInUse] or [ErrDirInUse]. Without a
// Run, Close gives everything back.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (_ *Gateway, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, log: log, secrets: map[string]string{}, replace: make(chan chan error), moved: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	if g.binary, err = Find(cfg.Path); err != nil {
		return nil, err
	}
	if g.cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	if g.lock, err = takeDir(g.cfg.Dir); err != nil {
		return nil, err
	}
	if err := g.reapOrphan(); err != nil {
		return nil, err
	}
	if g.http, err = holdPort(cfg.HTTPAddr); err != nil {
		return nil, err
	}
	g.addr = g.http.addr
	if cfg.TLSAddr != "" {
		if g.tls, err = holdPort(cfg.TLSAddr); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	if g.side, err = holdPort(cfg.AdminAddr); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	at := newAdmin(g.side.addr)
	g.at.Store(&at)
	if err := g.register(reg); err != nil {
		return nil, err
	}
	if cfg.Mutual.On() {
		if err := g.writeSecrets(); err != nil {
			return nil, err
		}
	}
	return g, g.writeBootstrap(g.AdminAddr())
}

func (g *Gateway) register(reg prometheus.Registerer) error {
	g.counter = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kongdao_xds_envoy_restarts_total",
		Help: "Times that Envoy ended by itself and was started again.",
	})
	g.wedged = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kongdao_xds_envoy_wedged_total",
		Help: "Times that Envoy took no configuration any more, by what came of replacing it.",
	}, []string{"result"})
	for _, result := range []string{resultReplaced, resultFailed} {
		g.wedged.WithLabelValues(result)
	}
	return errors.Join(reg.Register(g.counter), reg.Register(g.wedged))
}

// Close gives back the port and the folder. Run does it itself.
func (g *Gateway) Close() error {
	var errs []error
	if g.http != nil {
		errs = append(errs, g.http.close())
	}
	if g.tls != nil {
		errs = append(errs, g.tls.close())
	}
	if g.side != nil {
		errs = append(errs, g.side.close())
	}
	if g.lock != nil {
		errs = append(errs, g.lock.Close())
	}
	g.http, g.tls, g.side, g.lock = nil, nil, nil, nil
	return errors.Join(errs...)
}

// Addr is where functions are called, with the real port.
func (g *Gateway) Addr() string { return g.addr }

// AdminAddr is Envoy's admin address, with the real port. It is another one after
// Replace.
func (g *Gateway) AdminAddr() string { return g.admin().addr }

func (g *Gateway) admin() admin { return *g.at.Load() }

// Binary is the Envoy in use.
func (g *Gateway) Binary() Binary { return g.binary }

// PID is Envoy's process; 0 while none runs.
func (g *Gateway) PID() int { return int(g.pid.Load()) }

// Ended is when Envoy last ended by itself; zero: never.
func (g *Gateway) Ended() time.Time {
	if at := g.ended.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Kill ends Envoy at once, and Run starts it again without a pause, however often.
func (g *Gateway) Kill() error {
	pid := g.PID()
	if pid == 0 {
		return errNotRunning
	}
	g.killed.Store(true)
	return syscall.Kill(pid, syscall.SIGKILL)
}

var errNotRunning = errors.New("envoy is not running")

// Restarts counts how often Envoy was started again after it had ended by itself.
func (g *Gateway) Restarts() int { return int(g.restarts.Load()) }

func (g *Gateway) bootstrapFile() string { return filepath.Join(g.cfg.Dir, "bootstrap.json") }

// writeBootstrap writes the file for an Envoy with this admin address, where it is
// not there already.
func (g *Gateway) writeBootstrap(admin string) error {
	if g.written == admin {
		return nil
	}
	dir := ""
	if g.cfg.Mutual.On() {
		dir = g.cfg.Dir
	}
	b, err := Bootstrap(Options{
		SecretsDir:     dir,
		ServerName:     g.cfg.Mutual.ServerName,
		NodeID:         g.cfg.NodeID,
		Cluster:        g.cfg.Cluster,
		Zone:           g.cfg.Zone,
		XDSAddr:        g.cfg.XDSAddr,
		ALSAddr:        g.cfg.ALSAddr,
		AdminAddr:      admin,
		HTTPAddr:       g.Addr(),
		MaxConnections: g.cfg.MaxConnections,
		MaxHeapBytes:   g.cfg.MaxHeapBytes,
		Counters:       g.cfg.Counters,
	})
	if err != nil {
		return err
	}
	g.written = admin
	return os.WriteFile(g.bootstrapFile(), b, 0o600)
}

func (g *Gateway) concurrency() int {
	if g.cfg.Concurrency == 0 {
		return runtime.NumCPU()
	}
	return g.cfg.Concurrency
}

// stable is how long an Envoy must live for its end to count as a new trouble
// and not as the last one going on.
const stable = 10 * time.Second

// hopeless is how many ends in a row, without Envoy ever having been ready, show
// that it cannot start here.
const hopeless = 4

// Run starts Envoy and keeps it alive until ctx ends, then stops it cleanly and
// returns nil. It returns an error when Envoy cannot be started at all, or ended
// four times without ever being ready; once it was ready, Run never gives up. A
// Gateway runs once.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.Close()
	if g.cfg.Mutual.On() {
		var following sync.WaitGroup
		defer following.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		following.Go(func() { g.followFiles(ctx) })
	}
	failures := 0
	for {
		begin := time.Now()
		end, err := g.runOnce(ctx)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begin) >= stable {
			failures = 0
			g.lived.Store(true)
		}
		now := time.Now()
		g.ended.Store(&now)
		if g.killed.Swap(false) {
			g.restarts.Add(1)
			continue
		}
		failures++
		if failures >= hopeless && !g.lived.Load() {
			return fmt.Errorf("envoy ended %d times before it was ready, last with %s: %s", failures, end, g.lastWords())
		}
		g.restarts.Add(1)
		g.counter.Inc()
		pause := restartPause(failures)
		g.log.Warn("envoy ended, starting it again", "end", end, "pause", pause, "last_words", g.lastWords())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// restartPause is 0 after the first failure, then 100 ms, doubling up to 5 s.
func restartPause(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	const first, most = 100 * time.Millisecond, 5 * time.Second
	return min(first<<min(failures-2, 10), most)
}
