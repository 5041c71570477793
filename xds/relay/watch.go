package relay

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	kept   prometheus.Gauge
	lost   prometheus.Counter
	healed *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		kept: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_xds_relay_from_disk", Help: "1 while the gateway gets its configuration from disk because the control plane is away.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_xds_relay_unwritten_total", Help: "Accepted updates that could not be written to disk.",
		}),
		healed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_xds_relay_wedged_total", Help: "Times that Envoy took no configuration any more, by what came of starting it again.",
		}, []string{"result"}),
	}
	for _, result := range []string{"restarted", "failed"} {
		m.healed.WithLabelValues(result)
	}
	return m, errors.Join(reg.Register(m.kept), reg.Register(m.lost), reg.Register(m.healed))
}

// perResource is what each resource of a response adds to the time that Envoy may
// take: ten times what it takes for a cluster on an idle machine.
const perResource = 5 * time.Millisecond

// firstPause is how long after a healing the next may come; it doubles up to
// lastPause, for what wedges Envoy again at once is not mended by it.
const (
	firstPause = 30 * time.Second
	lastPause  = 10 * time.Minute
)

// watch heals an Envoy that is silent.
func (r *Relay) watch(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	pause, next := firstPause, time.Time{}
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
		silent := r.silent(now)
		if silent == 0 || now.Before(next) {
			continue
		}
		result := "restarted"
		r.log.Error("the gateway takes no configuration any more and is started again", "silent", silent)
		if err := r.config.Heal(ctx); err != nil {
			result = "failed"
			r.log.Error("the gateway was not restarted", "error", err)
		}
		r.metrics.healed.WithLabelValues(result).Inc()
		next, pause = time.Now().Add(pause), min(2*pause, lastPause)
	}
}

// silent is for how long Envoy leaves a response unanswered, when that is longer
// than it may take; else 0.
func (r *Relay) silent(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.streams {
		since, resources := s.silence()
		if allowed := r.config.Silence.Std() + time.Duration(resources)*perResource; !since.IsZero() && now.Sub(since) > allowed {
			return now.Sub(since)
		}
	}
	return 0
}
