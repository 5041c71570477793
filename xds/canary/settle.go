package canary

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/kongdao/kongdao/xds/serve"
)

// errStuck means that Envoy found a cluster bad too late to refuse it, and will
// answer no more.
var errStuck = errors.New("the canary Envoy is stuck")

// settle waits for Envoy's answers, for as long as so many resources may take, or
// until it is certain that none will come.
func (c *Canary) settle(ctx context.Context, resources int, types ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Patience.Std()+time.Duration(resources)*perResource, errStuck)
	defer cancel()
	settled, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		settled <- c.serve.Settle(ctx, types...)
	}()
	err := c.watch(ctx, settled)
	cancel()
	<-ended
	if err != nil {
		return err
	}
	if c.serve.Connected() == 0 {
		return ErrAway // nobody there to answer is no answer
	}
	return nil
}

// look is how often Envoy's own counters are read while it has not answered.
const look = 50 * time.Millisecond

// watch waits until all is settled. A cluster that Envoy finds bad when it is warm
// leaves a mark in the counter of refusals, and Envoy waits for it for ever: a
// refusal that is counted and does not come, at two looks, is one.
func (c *Canary) watch(ctx context.Context, settled <-chan error) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for suspicious := 0; suspicious < 2; {
		select {
		case err := <-settled:
			return err
		case <-tick.C:
		}
		if c.hides(ctx) {
			suspicious++
		} else {
			suspicious = 0
		}
	}
	return errStuck
}

// hides tells whether Envoy counted a refusal that it did not send.
func (c *Canary) hides(ctx context.Context) bool {
	c.mu.Lock()
	refused := c.refused
	c.mu.Unlock()
	counted, err := c.stat(ctx, "cluster_manager.cds.update_rejected")
	return err == nil && counted > float64(refused)
}

// warmed waits until no cluster is warming. Envoy can accept one that never finishes,
// and takes no cluster after it.
func (c *Canary) warmed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Patience.Std())
	defer cancel()
	tick := time.NewTicker(look / 10)
	defer tick.Stop()
	for {
		warming, err := c.stat(ctx, "cluster_manager.warming_clusters")
		if err == nil && warming == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errStuck
		}
	}
}

// stat is one of Envoy's own figures.
func (c *Canary) stat(ctx context.Context, name string) (float64, error) {
	c.mu.Lock()
	g := c.gateway
	c.mu.Unlock()
	if g == nil {
		return 0, ErrAway
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stats, err := g.Stats(ctx, "^"+regexp.QuoteMeta(name)+"$")
	return stats[name], err
}

func (c *Canary) rejected(r serve.Rejection) {
	if r.Type == resource.ClusterType {
		c.mu.Lock()
		c.refused++
		c.mu.Unlock()
	}
}

// unstick starts a new Envoy in place of one that fell silent.
func (c *Canary) unstick(ctx context.Context) error {
	if !c.Up() {
		return ErrAway
	}
	c.metrics.stuck.Inc()
	c.log.Warn("the canary Envoy fell silent over a change and is started again")
	return c.renew(ctx)
}

// unstickLater is unstick that does not wait for the new Envoy.
func (c *Canary) unstickLater() error {
	if !c.Up() {
		return ErrAway
	}
	c.metrics.stuck.Inc()
	return c.discard()
}
