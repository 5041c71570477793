package ship

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	rows       prometheus.Counter
	insert     prometheus.Histogram
	retries    prometheus.Counter
	deadBlocks prometheus.Counter
	deadRows   prometheus.Counter
	checked    *prometheus.CounterVec
}

// newMetrics registers with reg, under the label table; nil means that nobody
// reads them.
func newMetrics(table string, dead *deadLetters, reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_collector_rows_stored_total",
			Help: "Rows that ClickHouse acknowledged.",
		}),
		insert: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "kongdao_collector_insert_seconds",
			Help:    "Time of one successful insert of a block.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_collector_insert_retries_total",
			Help: "Inserts that failed and were tried again.",
		}),
		deadBlocks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_collector_dead_blocks_total",
			Help: "Blocks that ClickHouse refused for good and that are in the dead-letter folder.",
		}),
		deadRows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_collector_dead_rows_total",
			Help: "Rows in such blocks.",
		}),
		checked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_collector_checked_blocks_total",
			Help: "Blocks that may have been sent before and were looked up, by what was found: unsure (sent again), absent (sent), stored, part (the rest was sent), split (sent in pieces).",
		}, []string{"result"}),
	}
	for _, f := range []finding{findingUnsure, findingAbsent, findingStored, findingPart, findingSplit} {
		m.checked.WithLabelValues(string(f))
	}
	if reg == nil {
		return m, nil
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"table": table}, reg)
	var errs []error
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kongdao_collector_dead_letter_bytes",
			Help: "Disk that the dead-letter folder uses now.",
		}, func() float64 { return float64(dead.size()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kongdao_collector_dead_letter_budget_bytes",
			Help: "Disk that it may use; delivery stops when it is used up.",
		}, func() float64 { return float64(dead.limit) }),
	} {
		errs = append(errs, reg.Register(c))
	}
	for _, c := range []prometheus.Collector{m.rows, m.insert, m.retries, m.deadBlocks, m.deadRows, m.checked} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
