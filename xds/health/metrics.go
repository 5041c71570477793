package health

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	probes *prometheus.CounterVec
	pods   *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_xds_health_probes_total",
			Help: "Probes of pods by result: passed, refused, timeout or failed.",
		}, []string{"result"}),
		pods: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kongdao_xds_health_pods",
			Help: "Pods by state: ready or unready.",
		}, []string{"state"}),
	}
	for r := passed; r <= failed; r++ {
		m.probes.WithLabelValues(r.String())
	}
	m.forget()
	return m, errors.Join(reg.Register(m.probes), reg.Register(m.pods))
}

// forget sets the gauges to what nobody knows.
func (m metrics) forget() {
	m.pods.WithLabelValues("ready").Set(0)
	m.pods.WithLabelValues("unready").Set(0)
}
