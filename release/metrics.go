package release

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the controller counts; how releases stand is read off the
// ledger.
type metrics struct{ verdicts *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer, l *Ledger) (*metrics, error) {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kongdao_release_verdicts_total", Help: "Decisions on automatic releases: started, advanced, completed, rolled_back.",
	}, []string{"verdict"})}
	for _, v := range []string{"started", "advanced", "completed", "rolled_back"} {
		m.verdicts.WithLabelValues(v)
	}
	return m, errors.Join(reg.Register(m.verdicts), reg.Register(standing{l}))
}

var (
	percentDesc = prometheus.NewDesc("kongdao_release_percent",
		"Weight of the revision that an automatic release under way moves traffic to.", []string{"function", "revision"}, nil)
	overriddenDesc = prometheus.NewDesc("kongdao_release_overrides",
		"Functions whose weights are not those of their file.", nil, nil)
)

// standing is a prometheus.Collector of how releases stand.
type standing struct{ ledger *Ledger }

// Describe implements prometheus.Collector.
func (s standing) Describe(out chan<- *prometheus.Desc) { out <- percentDesc; out <- overriddenDesc }

// Collect implements prometheus.Collector.
func (s standing) Collect(out chan<- prometheus.Metric) {
	s.ledger.mu.Lock()
	var all []prometheus.Metric
	overrides := 0
	for name := range s.ledger.set {
		r := s.ledger.functions[name]
		if r == nil {
			continue
		}
		if r.override != nil {
			overrides++
		}
		if p := r.progress; !p.over() {
			all = append(all, prometheus.MustNewConstMetric(percentDesc, prometheus.GaugeValue, float64(p.Percent), name, p.Revision))
		}
	}
	s.ledger.mu.Unlock()
	out <- prometheus.MustNewConstMetric(overriddenDesc, prometheus.GaugeValue, float64(overrides))
	for _, m := range all {
		out <- m
	}
}
