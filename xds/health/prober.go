package health

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// batchWindow collects changes, so that a zone that dies is one change and not
// one for each pod.
const batchWindow = 20 * time.Millisecond

// spreadEach is how much later the first probe of each further new target is, up
// to one interval in all.
const spreadEach = time.Millisecond

// Target is one pod and how it is asked. The zero Path means a TCP connection,
// any other an HTTP GET that must answer 200.
type Target struct {
	Address string // host:port
	Path    string
	HTTP2   bool // Path is asked for over HTTP/2 without TLS
}

// Prober asks targets and reports changes.
type Prober struct {
	cfg     Config
	log     *slog.Logger
	metrics metrics
	network *network

	mu      sync.Mutex
	targets []Target      // as last set
	set     chan struct{} // size 1: targets were set

	changes chan map[string]bool
	results chan finding
}

// finding is the result of one probe.
type finding struct {
	*entry
	result result
}

// New checks the configuration and starts nothing.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Prober, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	return &Prober{
		cfg: cfg, log: log, metrics: m, network: newNetwork(),
		set:     make(chan struct{}, 1),
		changes: make(chan map[string]bool),
		results: make(chan finding),
	}, nil
}

// SetTargets replaces the targets. Doubles count once. What is known of targets
// that stay is kept. It never blocks and may be called before Run.
func (p *Prober) SetTargets(targets []Target) {
	p.mu.Lock()
	p.targets = slices.Clone(targets)
	p.mu.Unlock()
	select {
	case p.set <- struct{}{}:
	default: // one is waiting, and will see these targets
	}
}

// Changes gives batches of addresses whose readiness changed; the first batch
// with an address is its first word, and there always is one. An address with
// several paths is ready when all of them are. Receivers may be slow: batches
// merge meanwhile, and no probe waits for them. A batch belongs to its receiver.
// The channel is closed when Run ends.
func (p *Prober) Changes() <-chan map[string]bool { return p.changes }

// Run asks until ctx ends and returns nil. It runs once.
func (p *Prober) Run(ctx context.Context) error {
	defer close(p.changes)
	r := &round{Prober: p, entries: map[Target]*entry{}, pods: map[string]*pod{}, pending: map[string]bool{}}
	r.loop(ctx)
	for r.inFlight > 0 { // their context has ended
		<-p.results
		r.inFlight--
	}
	p.metrics.forget()
	return nil
}

// round is the state of one Run. Only its goroutine touches it.
type round struct {
	*Prober
	entries  map[Target]*entry
	pods     map[string]*pod // by address
	due      queue
	inFlight int

	pending map[string]bool // not yet delivered
	flushAt time.Time       // when pending may be; zero while it is empty
}

func (r *round) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		r.launch(ctx, now)
		timer.Reset(r.wait(now))
		var out chan map[string]bool // nil: nothing to deliver yet
		if len(r.pending) > 0 && !now.Before(r.flushAt) {
			r.count()
			out = r.changes
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.set:
			r.adopt(time.Now())
		case f := <-r.results:
			r.inFlight--
			r.take(f, time.Now())
		case out <- r.pending:
			r.pending, r.flushAt = map[string]bool{}, time.Time{}
		}
	}
}

// wait is the time until something is due by the clock.
func (r *round) wait(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	if len(r.due) > 0 && r.inFlight < r.cfg.Concurrency {
		next = r.due[0].at
	}
	if r.flushAt.After(now) && r.flushAt.Before(next) {
		next = r.flushAt
	}
	return next.Sub(now)
}

// launch starts the probes that are due, as many as may run at a time.
func (r *round) launch(ctx context.Context, now time.Time) {
	for len(r.due) > 0 && r.inFlight < r.cfg.Concurrency && !r.due[0].at.After(now) {
		e := heap.Pop(&r.due).(*entry)
		if e.gone {
			continue
		}
		r.inFlight++
		go func() {
			ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout.Std())
			defer cancel()
			r.results <- finding{e, r.network.probe(ctx, e.target)}
		}()
	}
}

// adopt takes over the targets that were set.
func (r *round) adopt(now time.Time) {
	r.mu.Lock()
	wanted := make(map[Target]bool, len(r.targets))
	for _, t := range r.targets {
		wanted[t] = true
	}
	r.mu.Unlock()
	for t, e := range r.entries {
		if !wanted[t] {
			e.gone = true
			delete(r.entries, t)
		}
	}
	var added []*entry
	for t := range wanted {
		if r.entries[t] == nil {
			e := &entry{target: t, state: newState()}
			r.entries[t] = e
			added = append(added, e)
		}
	}
	r.spread(added, now)
	r.regroup(now)
}

// spread puts new targets into the queue so that they do not fire together.
func (r *round) spread(added []*entry, now time.Time) {
	window := min(time.Duration(len(added))*spreadEach, r.cfg.Interval.Std())
	for _, e := range added {
		e.at = now.Add(rand.N(window + 1))
		heap.Push(&r.due, e)
	}
}

// regroup rebuilds the pods of the entries, after targets came or went.
func (r *round) regroup(now time.Time) {
	for _, p := range r.pods {
		p.entries = p.entries[:0]
	}
	for t, e := range r.entries {
		p := r.pods[t.Address]
		if p == nil {
			p = &pod{address: t.Address}
			r.pods[t.Address] = p
		}
		p.entries = append(p.entries, e)
		e.pod = p
	}
	for addr, p := range r.pods {
		if len(p.entries) == 0 {
			delete(r.pods, addr)
			delete(r.pending, addr)
			continue
		}
		if ready := p.allReady(); !p.known || p.ready != ready {
			r.report(p, ready, now)
		}
	}
	r.count()
}

// take books one result and asks again later.
func (r *round) take(f finding, now time.Time) {
	r.metrics.probes.WithLabelValues(f.result.String()).Inc()
	if f.gone {
		return
	}
	again := f.observe(f.result, r.cfg)
	if again == r.cfg.Interval.Std() {
		again += time.Duration((rand.Float64() - 0.5) * 0.2 * float64(again)) // or all that began together stay together
	}
	f.at = now.Add(again)
	heap.Push(&r.due, f.entry)
	if ready := f.pod.allReady(); ready != f.pod.ready {
		r.log.Info("pod readiness changed", "address", f.target.Address, "ready", ready, "probe", f.result.String())
		r.report(f.pod, ready, now)
	}
}

// report puts a change of one pod into the next batch.
func (r *round) report(p *pod, ready bool, now time.Time) {
	p.known, p.ready = true, ready
	if len(r.pending) == 0 {
		r.flushAt = now.Add(batchWindow)
	}
	r.pending[p.address] = ready
}

// count sets the gauges.
func (r *round) count() {
	ready := 0
	for _, p := range r.pods {
		if p.ready {
			ready++
		}
	}
	r.metrics.pods.WithLabelValues("ready").Set(float64(ready))
	r.metrics.pods.WithLabelValues("unready").Set(float64(len(r.pods) - ready))
}
