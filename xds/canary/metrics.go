package canary

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	up    prometheus.Gauge
	took  prometheus.Histogram
	stuck prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_xds_canary_up", Help: "1 while changes are tried on a canary Envoy before gateways get them.",
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kongdao_xds_canary_seconds", Help: "How long a change was tried on the canary Envoy.",
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}),
		stuck: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_xds_canary_stuck_total", Help: "Times that the canary Envoy fell silent over a change and was killed.",
		}),
	}
	return m, errors.Join(reg.Register(m.up), reg.Register(m.took), reg.Register(m.stuck))
}

func (m *metrics) set(up bool) {
	if up {
		m.up.Set(1)
	} else {
		m.up.Set(0)
	}
}
