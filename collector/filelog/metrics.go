package filelog

import "github.com/prometheus/client_golang/prometheus"

// metrics are labelled by gateway, of which there are as many as sources.
type metrics struct {
	lines, malformed, bytes, truncations, lost, errors *prometheus.CounterVec
	lag                                                *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer, sources []Source) (*metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kongdao_collector_" + name, Help: help}, []string{"gateway"})
	}
	m := &metrics{
		lines:       counter("lines_total", "Lines read from access-log files, those that do not parse included."),
		malformed:   counter("malformed_lines_total", "Lines that do not parse; each is stored as a call without function."),
		bytes:       counter("log_bytes_total", "Bytes read from access-log files."),
		truncations: counter("log_truncations_total", "Access-log files that shrank or were overwritten; they are read from their start again."),
		lost:        counter("log_positions_lost_total", "Starts at which the stored position was in no file that is left."),
		errors:      counter("log_errors_total", "Failures to read, rotate, reopen or remove access-log files; each is tried again."),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kongdao_collector_log_lag_bytes", Help: "Bytes in access-log files that were not handed over yet.",
		}, []string{"gateway"}),
	}
	for _, s := range sources {
		for _, c := range []*prometheus.CounterVec{m.lines, m.malformed, m.bytes, m.truncations, m.lost, m.errors} {
			c.WithLabelValues(s.Gateway)
		}
		m.lag.WithLabelValues(s.Gateway)
	}
	for _, c := range []prometheus.Collector{m.lines, m.malformed, m.bytes, m.truncations, m.lost, m.errors, m.lag} {
		if reg == nil {
			break
		}
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
