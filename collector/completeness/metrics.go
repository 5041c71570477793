package completeness

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// descs are the metrics of a Watcher.
func descs() (d struct{ counted, lost, ratio, late, total, heard *prometheus.Desc }) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kongdao_collector_completeness_"+name, help, append([]string{"gateway", "gateway_zone"}, labels...), nil)
	}
	d.counted = desc("counted", "Calls that a gateway counted in the last minute of which nothing more is expected.")
	d.lost = desc("lost", "Calls of that minute that are missing, by where: before they came out of the gateway's log, or on the way to ClickHouse.", "stage")
	d.ratio = desc("ratio", "Share of that minute's calls that are not missing; 1 when there were none.")
	d.late = desc("late", "Calls that a gateway counted, and that are still expected from its log.")
	d.total = desc("lost_calls_total", "Calls that are missing, by where, since the start. One that is found again later stays in.", "stage")
	d.heard = desc("heard_seconds", "Time since a gateway's counters were last heard of.")
	return d
}

// Describe implements prometheus.Collector.
func (w *Watcher) Describe(out chan<- *prometheus.Desc) {
	d := descs()
	for _, one := range []*prometheus.Desc{d.counted, d.lost, d.ratio, d.late, d.total, d.heard} {
		out <- one
	}
}

// Stages of a loss.
const (
	StageGateway = "gateway" // before the call came out of the gateway's log
	StageStorage = "storage" // after that, on the way to ClickHouse
)

// Collect implements prometheus.Collector.
func (w *Watcher) Collect(out chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := descs()
	for _, g := range w.gateways {
		if g.heard.IsZero() {
			continue // a gateway that sends its log and no counters
		}
		zone := g.zone
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{g.name, zone}, labels...)...)
		}
		count := func(desc *prometheus.Desc, value int64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), append([]string{g.name, zone}, labels...)...)
		}
		calls, lost := g.window()
		unstored := g.lastUnstored()
		gauge(d.counted, float64(calls))
		gauge(d.lost, float64(lost), StageGateway)
		gauge(d.lost, float64(unstored), StageStorage)
		gauge(d.ratio, Ratio(lost+unstored, calls))
		gauge(d.late, float64(g.late()))
		gauge(d.heard, time.Since(g.heard).Seconds())
		count(d.total, g.lost, StageGateway)
		count(d.total, g.unstored, StageStorage)
	}
}

// lastUnstored is what ClickHouse lacks of the newest minute that was checked.
func (g *gateway) lastUnstored() int64 {
	var newest int64
	for at, s := range g.saved {
		if s.row.Settled {
			newest = max(newest, at)
		}
	}
	return g.saved[newest].row.Unstored
}
