package relay

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	kept   prometheus.Gauge
	behind prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		kept: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_xds_relay_from_disk", Help: "1 while the gateway has its configuration from disk because the control plane is away.",
		}),
		behind: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_xds_relay_unwritten", Help: "1 while accepted configuration could not be written to disk.",
		}),
	}
	return m, errors.Join(reg.Register(m.kept), reg.Register(m.behind))
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
