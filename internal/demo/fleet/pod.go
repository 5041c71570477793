// Package fleet is the demo's functions platform: pods that behave like pods
// under load, grouped by zone, one process for each zone so that a zone can be
// killed for real.
//
// A [Pod] is an honest queueing server: a fixed number of workers, one queue in
// order of arrival, and service times drawn from a seeded lognormal
// distribution. It has a knee that nobody typed in, and it can be measured.
package fleet

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Behaviour is how a pod serves.
type Behaviour struct {
	Workers  int           `json:"workers"`  // calls served at the same time
	Mean     time.Duration `json:"mean"`     // mean service time
	Spread   float64       `json:"spread"`   // coefficient of variation of service times; 0: constant
	MaxQueue int           `json:"maxQueue"` // calls that may wait; one more is answered 503
}

// Pod serves one function on one address.
type Pod struct {
	function, zone string
	behaviour      Behaviour
	workers        chan struct{} // a token for each busy worker
	queue          chan struct{} // a token for each call inside, waiting or served

	mu  sync.Mutex
	rng *rand.Rand
}

// NewPod returns a pod whose service times follow from seed.
func NewPod(function, zone string, b Behaviour, seed uint64) *Pod {
	return &Pod{
		function: function, zone: zone, behaviour: b,
		workers: make(chan struct{}, b.Workers),
		queue:   make(chan struct{}, b.Workers+b.MaxQueue),
		rng:     rand.New(rand.NewPCG(seed, 1)),
	}
}

// ServeHTTP answers /healthz at once and everything else after a worker has
// spent the call's service time on it.
func (p *Pod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		w.WriteHeader(http.StatusOK)
		return
	}
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		http.Error(w, "queue is full", http.StatusServiceUnavailable)
		return
	}
	if !p.work(r.Context()) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"function": p.function, "zone": p.zone, "path": r.URL.Path})
}

// work waits for a worker and holds it for one service time. It reports false
// when the caller left first.
func (p *Pod) work(ctx context.Context) bool {
	select {
	case p.workers <- struct{}{}:
		defer func() { <-p.workers }()
	case <-ctx.Done():
		return false
	}
	t := time.NewTimer(p.serviceTime())
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serviceTime draws from a lognormal distribution of the given mean m and
// coefficient of variation c: sigma² = ln(1+c²), mu = ln m − sigma²/2.
func (p *Pod) serviceTime() time.Duration {
	variance := math.Log1p(p.behaviour.Spread * p.behaviour.Spread)
	p.mu.Lock()
	z := p.rng.NormFloat64()
	p.mu.Unlock()
	factor := math.Exp(z*math.Sqrt(variance) - variance/2)
	return time.Duration(float64(p.behaviour.Mean) * factor)
}

// serve answers on l until ctx ends, then closes every connection at once, as a
// pod that is gone does.
func (p *Pod) serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
