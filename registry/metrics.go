package registry

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	problems  prometheus.Gauge
	reloads   prometheus.Counter
	resources prometheus.Gauge
}

func newMetrics() metrics {
	return metrics{
		problems: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_registry_problems", Help: "Problems of resource files that keep their change from being applied.",
		}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_registry_reloads_total", Help: "Changes of resource files that were taken up, good or bad.",
		}),
		resources: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_registry_resources", Help: "Resources that are in force.",
		}),
	}
}

func (m metrics) register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.problems, m.reloads, m.resources} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}
