package otlp

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is how a request ended, for metrics.
type outcome string

// The outcomes.
const (
	outcomeStored    outcome = "stored"    // on disk; some of its records may have been refused
	outcomeRepeated  outcome = "repeated"  // was on disk already
	outcomeBusy      outcome = "busy"      // refused for want of room
	outcomeMalformed outcome = "malformed" // does not parse, or is too large
	outcomeCanceled  outcome = "canceled"  // the client left before its records were on disk
	outcomeFailed    outcome = "failed"    // the log cannot be used
)

func outcomes() []outcome {
	return []outcome{outcomeStored, outcomeRepeated, outcomeBusy, outcomeMalformed, outcomeCanceled, outcomeFailed}
}

type metrics struct {
	requests                 map[string]map[outcome]prometheus.Counter
	records, refused, bytes  prometheus.Counter
	cut, droppedAttrs, clock prometheus.Counter
	durable                  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kongdao_collector_otlp_" + name, Help: help})
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kongdao_collector_otlp_requests_total", Help: "OTLP log requests, by protocol and by how they ended.",
	}, []string{"protocol", "outcome"})
	m := &metrics{
		requests:     map[string]map[outcome]prometheus.Counter{},
		records:      counter("records_total", "Log records of functions that are on disk."),
		refused:      counter("refused_records_total", "Log records that name no function, refused in partial successes."),
		bytes:        counter("bytes_total", "Bytes of OTLP log requests, after decompression."),
		cut:          counter("cut_records_total", "Log records whose body or attributes were cut at a limit."),
		droppedAttrs: counter("dropped_attributes_total", "Attributes of log records that were left out at a limit."),
		clock:        counter("clock_records_total", "Log records whose own time was too far off; they have the time of their arrival."),
		durable: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kongdao_collector_otlp_durable_seconds", Help: "Time from a request being decoded until its records are on disk.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	for _, protocol := range []string{protocolGRPC, protocolHTTP} {
		m.requests[protocol] = map[outcome]prometheus.Counter{}
		for _, o := range outcomes() {
			m.requests[protocol][o] = requests.WithLabelValues(protocol, string(o))
		}
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{requests, m.records, m.refused, m.bytes, m.cut, m.droppedAttrs, m.clock, m.durable} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) stored(records, refused int, changed counts) {
	m.records.Add(float64(records))
	m.refused.Add(float64(refused))
	m.cut.Add(float64(changed.cut))
	m.droppedAttrs.Add(float64(changed.dropped))
	m.clock.Add(float64(changed.clock))
}
