package collector

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// registerState registers what is read off the collector when it is scraped.
func (c *Collector) registerState(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	gauge := func(name, help string, value func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kongdao_collector_" + name, Help: help},
			func() float64 { return value(c.Stats()) })
	}
	return errors.Join(
		reg.Register(c.calls),
		reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "kongdao_collector_sampled_out_calls_total", Help: "Calls that sampling did not store, since the start; all other metrics count them.",
		}, func() float64 { return float64(c.Stats().SampledOut) })),
		reg.Register(gauge("wal_bytes", "Disk that the write-ahead log uses.",
			func(s Stats) float64 { return float64(s.WALBytes) })),
		reg.Register(gauge("wal_budget_bytes", "Disk that it may use; reading stops when it is used up.",
			func(s Stats) float64 { return float64(s.WALBudget) })),
		reg.Register(gauge("wal_rows", "Calls in it that ClickHouse has not acknowledged.",
			func(s Stats) float64 { return float64(s.Unstored) })),
		reg.Register(gauge("wal_waiting", "1 while the log takes no blocks, for lack of budget or disk.",
			func(s Stats) float64 { return boolean(s.Waiting != "") })),
		reg.Register(gauge("wal_quarantined", "Damaged ranges that were set aside since the log was made.",
			func(s Stats) float64 { return float64(s.Quarantined) })),
		reg.Register(gauge("oldest_unstored_seconds", "Age of the oldest call that ClickHouse has not acknowledged; 0 when there is none.",
			func(s Stats) float64 { return s.Lag.Seconds() })),
		reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "kongdao_collector_rows_read_total", Help: "Calls taken from the sources since the start.",
		}, func() float64 { return float64(c.Stats().Read) })),
	)
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// age is how long ago t was; 0 for the zero time and for one to come.
func age(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Since(t))
}
