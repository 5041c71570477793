package als

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	entries, malformed, bytes prometheus.Counter
	tcp, intermediate         prometheus.Counter
	streams                   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kongdao_collector_als_" + name, Help: help})
	}
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kongdao_collector_als_skipped_total", Help: "Access-log entries that were left out, because they were written before a call ended.",
	}, []string{"kind"})
	m := &metrics{
		entries:   counter("entries_total", "Calls received over the access log service, those that do not parse included."),
		malformed: counter("malformed_total", "Entries and messages that do not parse; such an entry is stored as a call without function."),
		bytes:     counter("bytes_total", "Bytes of messages received over the access log service."),
		tcp:       counter("connections_total", "TCP connections received over the access log service."), intermediate: skipped.WithLabelValues("intermediate"),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_collector_als_streams", Help: "Streams that are open over the access log service.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.entries, m.malformed, m.bytes, m.tcp, skipped, m.streams} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) add(n counts, bytes int) {
	m.entries.Add(float64(n.calls))
	m.malformed.Add(float64(n.malformed))
	m.tcp.Add(float64(n.tcp))
	m.intermediate.Add(float64(n.intermediate))
	m.bytes.Add(float64(bytes))
}
