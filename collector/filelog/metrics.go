package filelog

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are labelled by gateway, of which there are at most as many as logs.
type metrics struct {
	lines, malformed, bytes, truncations, lost, errors, droppedLines, droppedBytes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kongdao_collector_" + name, Help: help}, []string{"gateway"})
	}
	m := &metrics{
		lines:        counter("lines_total", "Lines read from access-log files, those that do not parse included."),
		malformed:    counter("malformed_lines_total", "Lines that do not parse; each is stored as a call without function."),
		bytes:        counter("log_bytes_total", "Bytes read from access-log files."),
		truncations:  counter("log_truncations_total", "Access-log files that shrank or were overwritten; they are read from their start again, or from their end if they were only cut."),
		lost:         counter("log_positions_lost_total", "Starts at which the stored position was in no file that is left."),
		errors:       counter("log_errors_total", "Failures to read, rotate, reopen or remove access-log files; each is tried again."),
		droppedLines: counter("file_dropped_lines_total", "Lines of access-log files that were removed unread, for lack of budget; only with overflow drop-oldest."),
		droppedBytes: counter("file_dropped_bytes_total", "Bytes of access-log files that were removed unread, for lack of budget."),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range m.all() {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) all() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{m.lines, m.malformed, m.bytes, m.truncations, m.lost, m.errors, m.droppedLines, m.droppedBytes}
}

// begin makes the counters of a gateway be there from the start.
func (m *metrics) begin(gateway string) {
	for _, c := range m.all() {
		c.WithLabelValues(gateway)
	}
}

// state is read off the followers when it is scraped. Logs of one gateway are added.
type state struct{ t *Tailer }

func (state) descriptions() (lag, usage, budget *prometheus.Desc) {
	of := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kongdao_collector_"+name, help, []string{"gateway"}, nil)
	}
	return of("log_lag_bytes", "Bytes in access-log files that were not handed over yet."),
		of("file_bytes", "Disk that access-log files use: the live one, those not stored yet and those not removed yet."),
		of("file_budget_bytes", "Disk that they should use at most; no bound without this metric.")
}

// Describe is for the registry.
func (s state) Describe(ch chan<- *prometheus.Desc) {
	lag, usage, budget := s.descriptions()
	ch <- lag
	ch <- usage
	ch <- budget
}

// Collect is for the registry.
func (s state) Collect(ch chan<- prometheus.Metric) {
	type sums struct{ lag, usage, budget int64 }
	of := map[string]sums{}
	for _, f := range s.t.all() {
		g := of[f.source.Gateway]
		of[f.source.Gateway] = sums{g.lag + f.lag.Load(), g.usage + f.usage.Load(), g.budget + f.config.FileBytes}
	}
	lag, usage, budget := s.descriptions()
	gauge := func(d *prometheus.Desc, value int64, gateway string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), gateway)
	}
	for gateway, g := range of {
		gauge(lag, g.lag, gateway)
		gauge(usage, g.usage, gateway)
		if g.budget > 0 {
			gauge(budget, g.budget, gateway)
		}
	}
}
