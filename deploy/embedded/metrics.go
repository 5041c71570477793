package embedded

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	up           prometheus.Gauge
	restarts     prometheus.Counter
	startSeconds prometheus.Gauge
}

// newMetrics registers with reg unless it is nil.
func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_clickhouse_up",
			Help: "Whether the embedded ClickHouse answers: 1 from its first answer until it ends.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_clickhouse_restarts_total",
			Help: "Times that the embedded ClickHouse ended by itself and was started again.",
		}),
		startSeconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_clickhouse_start_seconds",
			Help: "How long the last start of the embedded ClickHouse took until it answered a query.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.up), reg.Register(m.restarts), reg.Register(m.startSeconds))
}
