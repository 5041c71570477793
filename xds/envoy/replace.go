package envoy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// hung is how often in a row Replace may find Envoy busy before it believes that it
// hangs.
const hung = 3

// replaceAsk is how long Envoy may take to answer on its admin port before it counts
// as busy.
const replaceAsk = 2 * time.Second

var (
	errBusy  = errors.New("envoy is busy, not stuck")
	errEnded = errors.New("the gateway is stopped")
)

// Replace starts a second Envoy beside one that takes no configuration any more.
// When the second one has all that there is and listens, the first takes no more
// calls, ends those it has, and is stopped. AdminAddr is another one then, see
// Moved. A second one that does not come up is ended, and the first serves on.
//
// An Envoy that was never ready serves nobody: it is stopped and started again. One
// that does not answer on its admin port is busy with what it was given, which is no
// reason to end it: Replace fails. The third time in a row it is taken to hang.
//
// It is for one goroutine, and needs Run.
func (g *Gateway) Replace(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, replaceAsk)
	defer cancel()
	if err := g.admin().do(ask, http.MethodGet, "/server_info"); err != nil {
		if g.busy++; g.busy < hung {
			return fmt.Errorf("%w: %w", errBusy, err)
		}
	}
	g.busy = 0
	done := make(chan error, 1)
	select {
	case g.replace <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Moved speaks when AdminAddr is another one. Only the last move waits there.
func (g *Gateway) Moved() <-chan struct{} { return g.moved }

// succeed puts another Envoy in the place of one. On an error that one goes on; nil
// without a process is for a context that has ended.
func (g *Gateway) succeed(ctx context.Context, old *process) (*process, error) {
	side, err := g.sidePort()
	if err != nil {
		return nil, err
	}
	next, err := g.launch(newAdmin(side.addr))
	if err != nil {
		return nil, errors.Join(err, side.close())
	}
	wait, cancel := context.WithTimeout(ctx, g.cfg.Handover.Std())
	defer cancel()
	if err := g.awaitSuccessor(wait, old, next); err != nil {
		g.stop(next)
		g.forget(next)
		if ctx.Err() != nil {
			err = errEnded
		}
		return nil, errors.Join(fmt.Errorf("another envoy does not come up: %w", err), side.close())
	}
	g.current(next)
	steered := g.steerTo(ctx, next)
	g.finish(old)
	g.stop(old)
	if err := steered.end(); err != nil {
		g.log.Warn("connections are not spread evenly over the new envoy", "error", err)
	}
	g.forget(old)
	if err := g.side.close(); err != nil {
		g.log.Warn("the admin port of before is held on", "error", err)
	}
	g.side = side
	now := time.Now()
	g.ended.Store(&now)
	return next, nil
}

// awaitSuccessor waits until next listens as old does.
func (g *Gateway) awaitSuccessor(ctx context.Context, old, next *process) error {
	want := max(old.admin.listeners(ctx), 1)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for next.admin.listeners(ctx) < want {
		select {
		case <-tick.C:
		case <-next.ended:
			return fmt.Errorf("it ended with %s: %s", next.cmd.ProcessState, g.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("it is not ready after %v: clusters that do not finish warming: %q", g.cfg.Handover.Std(), next.admin.warmingNow())
		}
	}
	return nil
}

// listeners are those that take calls; 0 while Envoy is not initialised, or when it
// does not answer.
func (a admin) listeners(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stats, err := a.stats(ctx, `^listener_manager\.(workers_started|total_listeners_active)$`)
	if err != nil || stats["listener_manager.workers_started"] == 0 {
		return 0
	}
	return int(stats["listener_manager.total_listeners_active"])
}

// steerTo leaves the first Envoy without new connections. Without it some are lost.
func (g *Gateway) steerTo(ctx context.Context, next *process) steering {
	steered, err := steer(next.cmd.Process.Pid)
	if err != nil {
		g.log.Warn("connections that are being set up may be reset", "error", err)
		return nil
	}
	wait := time.NewTimer(settleTime)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	return steered
}

// finish makes an Envoy whose place is taken end its calls: it takes no more
// connections, and asks clients to close those they have with the next answer. What
// is left after the time for that is cut off.
func (g *Gateway) finish(p *process) {
	limit := g.cfg.Finish.Std()
	if limit == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, path := range []string{"/drain_listeners", "/drain_listeners?graceful&skip_exit"} {
		ask, done := context.WithTimeout(ctx, replaceAsk)
		err := p.admin.do(ask, http.MethodPost, path)
		done()
		if err != nil {
			g.log.Warn("the envoy that is replaced does not end its calls, they are cut off", "error", err)
			return
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		stats, err := p.admin.stats(ctx, `^http\..*\.downstream_(cx|rq)_active$`)
		if err != nil || idle(stats) {
			return
		}
		<-tick.C
	}
}

// sidePort holds another admin port, for an Envoy that comes to the side of one.
func (g *Gateway) sidePort() (*port, error) {
	host, _, err := net.SplitHostPort(g.AdminAddr())
	if err != nil {
		return nil, err
	}
	p, err := holdPort(net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return p, nil
}
