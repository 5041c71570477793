package embedded

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

const (
	startTimeout = 60 * time.Second // a start takes 0.2 s, on a busy machine 6 s
	stopTimeout  = 10 * time.Second // clean stop: 0.2 s, 5 s with open connections
	pollInterval = 10 * time.Millisecond
	askTimeout   = 2 * time.Second // one statement takes milliseconds

	// firstStarts is how many starts may fail before Run gives up on an engine that
	// was never ready. Later ones are repeated for ever: the data is there.
	firstStarts = 5
	// A life shorter than this makes the next start wait, see restartDelay.
	shortLife = 10 * time.Second
)

// errNotReady marks a life that ended before it had answered a query.
var errNotReady = errors.New("engine did not start")

// Run keeps the engine running until ctx ends, then stops it and returns nil. It
// returns an error when the engine cannot be started at all. Run is for one call.
func (e *Engine) Run(ctx context.Context) error {
	defer e.Close() // a lock and sockets that are gone either way
	short := 0      // consecutive short lives
	for {
		begin := time.Now()
		err := e.live(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begin) > shortLife {
			short = 0
		}
		short++
		if !e.wasReady() && short >= firstStarts {
			return fmt.Errorf("embedded clickhouse: %w; see %s", err, e.LogFile())
		}
		delay := restartDelay(short)
		e.log.Error("embedded clickhouse ended, starting it again", "error", err, "delay", delay)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		e.mu.Lock()
		e.restarts++
		e.mu.Unlock()
		e.metrics.restarts.Inc()
	}
}

// restartDelay is 0 after the first short life in a row, then 100 ms, doubling to
// 5 s: one crash costs clients little, a crash loop leaves the machine to others.
func restartDelay(short int) time.Duration {
	if short <= 1 {
		return 0
	}
	return min(5*time.Second, 100*time.Millisecond<<min(short-2, 10))
}

func (e *Engine) wasReady() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// live is one life of the child: nil when ctx ended it, else why it ended.
func (e *Engine) live(ctx context.Context) error {
	begin := time.Now()
	p, err := e.start()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	defer e.setCurrent(nil)
	if err := e.awaitReady(ctx, p); err != nil {
		p.kill() // nothing was acknowledged to anybody yet
		return err
	}
	took := time.Since(begin)
	e.metrics.up.Set(1)
	defer e.metrics.up.Set(0)
	e.metrics.startSeconds.Set(took.Seconds())
	e.log.Info("embedded clickhouse is ready", "addr", e.Addr(), "http", e.HTTPAddr(), "pid", p.pid, "took", took)
	if !e.wasReady() {
		close(e.ready)
	}
	select {
	case <-p.done:
		return p.ended()
	case <-ctx.Done():
		e.stop(p)
		return nil
	}
}

func (e *Engine) start() (*process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range []*port{&e.native, &e.http} {
		was := p.addr
		moved, err := p.free()
		if err != nil {
			return nil, err
		}
		if moved {
			e.log.Warn("port of the embedded clickhouse was taken, using another", "was", was, "now", p.addr)
		}
	}
	withdrawn, err := withdrawTokens(filepath.Join(e.cfg.Dir, "data"))
	if err != nil {
		return nil, err
	}
	if withdrawn > 0 {
		e.log.Warn("engine was killed in the middle of inserts; they may be sent again", "parts", withdrawn)
	}
	p, err := startProcess(e.cfg.Dir, e.cfg.Library, []string{
		"--config-file=" + filepath.Join(e.cfg.Dir, configFile),
		"--path=" + filepath.Join(e.cfg.Dir, "data"),
		"--listen_host=" + host,
		"--tcp_port=" + e.native.number(),
		"--http_port=" + e.http.number(),
		"--query", script,
	})
	if err != nil {
		return nil, err
	}
	e.current = p
	return p, nil
}

func (e *Engine) setCurrent(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = p
}

// awaitReady asks until the engine answers its own user: a ping would be answered
// before tables and users are there, and by any other server on the port.
func (e *Engine) awaitReady(ctx context.Context, p *process) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-p.done:
			return fmt.Errorf("%w: %w", errNotReady, p.ended())
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("%w: no answer within %s", errNotReady, startTimeout)
		case <-poll.C:
			if e.ask(ctx, "SELECT count() FROM system.tables") == nil {
				return nil
			}
		}
	}
}

// ask runs one statement on a connection of its own.
func (e *Engine) ask(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := clickhouse.New(e.Options())
	if err != nil {
		return err
	}
	return errors.Join(c.Exec(ctx, statement), c.Close())
}

// stop asks the child to end and makes sure that it has. It ends nothing halfway:
// an acknowledged row is on disk, as after a kill.
func (e *Engine) stop(p *process) {
	begin := time.Now()
	_ = p.stdin.Close() // tells the child, and makes it leave even if the engine hangs
	p.awaitSomewhere()
	if err := e.ask(context.Background(), endScript); err != nil {
		e.log.Warn("embedded clickhouse does not stop when asked, killing it", "error", err)
		p.kill()
		return
	}
	select {
	case <-p.done:
		e.log.Info("embedded clickhouse stopped", "took", time.Since(begin))
	case <-time.After(stopTimeout):
		e.log.Warn("embedded clickhouse did not stop in time, killing it", "waited", stopTimeout)
		p.kill()
	}
}

// ended says why a life is over; call it after done.
func (p *process) ended() error {
	reason := "exit code 0"
	if p.err != nil {
		reason = p.err.Error()
	}
	return fmt.Errorf("engine %d ended: %s: %q", p.pid, reason, p.lastWords())
}
