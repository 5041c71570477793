package canary

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
)

// How the Envoy for clusters of new shapes lives.
const (
	// glance is how long Ahead waits for it, some ten times what it takes for a good
	// cluster on an idle machine: a change that has to wait is published twice.
	glance = 25 * time.Millisecond
	// aheadStart is how long it may take to come up.
	aheadStart = 30 * time.Second
	// aheadIdle is how long it stays without work.
	aheadIdle = 5 * time.Minute
	// remembered is for how long a verdict against a shape holds: whoever asked for
	// it comes back at once.
	remembered = time.Minute
)

// ahead tries clusters on an Envoy of its own, one that is started when it is needed
// and ended when it has not been needed for a while. Its methods may be called from
// any goroutine, but for those of the goroutine that runs work.
type ahead struct {
	mu    sync.Mutex
	good  map[shape]bool             // taken, by whichever Envoy
	not   map[shape]verdict          // of the last minute
	asked map[shape]*cluster.Cluster // to be tried, or being tried
	there bool                       // the Envoy is
	moved chan struct{}              // closed and replaced with each verdict
	kick  chan struct{}              // size 1: something was asked for
	idle  time.Duration              // how long the Envoy stays without work

	second *Canary // of the goroutine alone; nil while there is none
	end    func()  // ends it
}

// verdict is why a cluster is not taken; without a reason it could not be tried.
type verdict struct {
	reason string
	at     time.Time
}

func newAhead() *ahead {
	return &ahead{
		good: map[shape]bool{}, not: map[shape]verdict{}, asked: map[shape]*cluster.Cluster{},
		moved: make(chan struct{}), kick: make(chan struct{}, 1), idle: aheadIdle,
	}
}

// Ahead begins to try clusters of shapes that are not known yet, on another Envoy
// than that of Try, and names those that are still being tried after a moment,
// sorted. What becomes of them is known to Try when the function that was given to
// New is called. Nothing waits for long that is not named: Try itself tries clusters
// that cannot be tried there.
func (c *Canary) Ahead(ctx context.Context, clusters map[string]*cluster.Cluster) (waiting []string) {
	if !c.Up() {
		return nil
	}
	shapes := map[shape]*cluster.Cluster{}
	names := map[shape][]string{}
	for name, one := range clusters {
		if s, err := shapeOf(one); err == nil && standsAlone(one) {
			shapes[s], names[s] = one, append(names[s], name)
		}
	}
	if c.ahead.ask(shapes) {
		ctx, cancel := context.WithTimeout(ctx, glance)
		defer cancel()
		c.ahead.wait(ctx, shapes)
	}
	for _, s := range c.ahead.open(shapes) {
		waiting = append(waiting, names[s]...)
	}
	slices.Sort(waiting)
	return waiting
}

// standsAlone tells whether nothing else is needed to try a cluster. What is not
// could wait for ever for what the other Envoy has not.
func standsAlone(c *cluster.Cluster) bool {
	return c.GetType() == cluster.Cluster_EDS && c.GetTransportSocket() == nil && len(c.GetTransportSocketMatches()) == 0
}

// ask notes shapes that have no verdict, and tells whether there are new ones and an
// Envoy that may have tried them in a moment.
func (a *ahead) ask(shapes map[shape]*cluster.Cluster) (soon bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.not, func(_ shape, v verdict) bool { return time.Since(v.at) > remembered })
	fresh := false
	for s, c := range shapes {
		if _, decided := a.not[s]; !decided && !a.good[s] && a.asked[s] == nil {
			a.asked[s], fresh = c, true
		}
	}
	if fresh {
		a.wake()
	}
	return fresh && a.there
}

func (a *ahead) wake() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// open are the shapes that are being tried.
func (a *ahead) open(shapes map[shape]*cluster.Cluster) (open []shape) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range shapes {
		if a.asked[s] != nil {
			open = append(open, s)
		}
	}
	return open
}

// wait returns when all shapes are decided, or ctx ends.
func (a *ahead) wait(ctx context.Context, shapes map[shape]*cluster.Cluster) {
	for {
		a.mu.Lock()
		moved := a.moved
		a.mu.Unlock()
		if len(a.open(shapes)) == 0 {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// take marks a shape as taken.
func (a *ahead) take(s shape) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.good[s] = true
}

// known tells what is known of a shape: that it is taken, or why not.
func (a *ahead) known(s shape) (good bool, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.good[s], a.not[s].reason
}

// batch are clusters to be tried together, by name. Those of one name are tried one
// after the other.
func (a *ahead) batch() (all map[string]*cluster.Cluster, shapes map[string]shape) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, shapes = map[string]*cluster.Cluster{}, map[string]shape{}
	for s, c := range a.asked {
		if all[c.GetName()] == nil {
			all[c.GetName()], shapes[c.GetName()] = c, s
		}
	}
	return all, shapes
}

// decide notes what became of a batch. Without texts it could not be tried.
func (a *ahead) decide(shapes map[string]shape, texts map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, s := range shapes {
		delete(a.asked, s)
		reason, bad := texts[name]
		if bad || texts == nil {
			a.not[s] = verdict{reason, time.Now()}
		} else {
			a.good[s] = true
		}
	}
	if len(a.asked) > 0 {
		a.wake()
	}
	close(a.moved)
	a.moved = make(chan struct{})
}

// tryAhead tries what was asked for until ctx ends.
func (c *Canary) tryAhead(ctx context.Context) {
	a := c.ahead
	idle := time.NewTimer(a.idle)
	defer idle.Stop()
	defer a.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			a.stop()
		case <-a.kick:
			all, shapes := a.batch()
			texts := c.tryBatch(ctx, all)
			if ctx.Err() != nil {
				return
			}
			a.decide(shapes, texts)
			c.up(c.Up())
			idle.Reset(a.idle)
		}
	}
}

// tryBatch returns what is refused and why; nil: it could not be tried.
func (c *Canary) tryBatch(ctx context.Context, all map[string]*cluster.Cluster) map[string]string {
	second, err := c.ahead.start(ctx, c)
	if err != nil {
		c.log.Warn("no second canary Envoy: new kinds of clusters keep other changes waiting", "error", err)
		c.ahead.stop()
		return nil
	}
	second.trying.Lock()
	defer second.trying.Unlock()
	texts, err := second.trySome(ctx, all, slices.Sorted(maps.Keys(all)))
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("new kinds of clusters were not tried on the second canary Envoy", "error", err)
		}
		c.ahead.stop()
		return nil
	}
	for name, text := range texts {
		if text == silent {
			c.log.Warn("the second canary Envoy fell silent over a cluster and was started again", "cluster", name)
		}
	}
	return texts
}

// start returns the Envoy, and waits for it where it has to be started.
func (a *ahead) start(ctx context.Context, first *Canary) (*Canary, error) {
	if a.second != nil {
		waiting, cancel := context.WithTimeout(ctx, aheadStart)
		defer cancel()
		if a.second.renewed(waiting) == nil && a.second.Up() {
			return a.second, nil
		}
		a.stop()
	}
	config := first.config
	config.Dir = filepath.Join(config.Dir, "ahead")
	came := make(chan bool, 1)
	second, err := assemble(config, slog.New(slog.DiscardHandler), first.metrics, func(up bool) {
		a.mu.Lock()
		a.there = up
		a.mu.Unlock()
		select {
		case came <- up:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	second.careful = true
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = second.Run(running) // what is missed then is seen by whoever waits for it
	}()
	a.second, a.end = second, func() { cancel(); <-done }
	select {
	case up := <-came:
		if up {
			return second, nil
		}
	case <-time.After(aheadStart):
	case <-ctx.Done():
	}
	return nil, ErrAway
}

// stop ends the Envoy.
func (a *ahead) stop() {
	if a.second == nil {
		return
	}
	a.end()
	a.second, a.end = nil, nil
	a.mu.Lock()
	a.there = false
	a.mu.Unlock()
}
