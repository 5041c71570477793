package tally

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of calls; it is a prometheus.Collector. Calls of load
// tests are in a counter of their own and nowhere else.
//
// Names come from the gateway's own routes, so they are few; still, no metric has
// more than max label combinations, and calls beyond are counted with all labels
// "other". Combinations that had no calls for an hour give way, as pods and
// revisions come and go. It is for any number of goroutines.
type Metrics struct {
	grid *grid
	now  func() time.Time

	mu         sync.Mutex
	generation uint64 // of the series; targets of an older one have to be found again
	calls      *family
	loadTest   *family
	refused    *family
	pods       *family
	duration   *family
	podTime    *family
}

// targets are the series that a kind of call counts in; nil ones do not apply.
type targets struct {
	generation uint64 // 0: not found yet
	counters   [3]*series
	histograms [2]*series
}

// NewMetrics returns metrics with at most max series each.
func NewMetrics(max int) *Metrics {
	return &Metrics{
		grid: newGrid(), now: time.Now, generation: 1,
		calls: newFamily("calls_total", "Calls of real traffic, refused ones included. An empty function: no route matched.",
			max, "function", "revision", "zone", "code"),
		loadTest: newFamily("load_test_calls_total", "Calls of load tests, which no other metric counts.",
			max, "function", "revision", "zone", "code"),
		refused: newFamily("refused_calls_total", "Calls of real traffic that a limit refused.",
			max, "function", "limit"),
		pods: newFamily("pod_calls_total", "Calls of real traffic that a pod answered or failed.",
			max, "function", "revision", "zone", "pod", "code"),
		duration: newFamily("call_duration_seconds", "Time from the first byte received to the last byte sent, of real traffic that no limit refused.",
			max, "function", "revision", "zone"),
		podTime: newFamily("pod_call_duration_seconds", "The same by pod, as a native histogram alone.",
			max, "function", "revision", "zone", "pod"),
	}
}

// Add counts the calls of a tally.
func (m *Metrics) Add(t *Tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	seen := now.UnixNano()
	for _, c := range t.calls {
		k := &t.kinds[c.kind]
		if k.to.generation != m.generation {
			m.find(k, now)
		}
		for _, s := range k.to.counters {
			if s == nil {
				break
			}
			s.n++
			s.seen = seen
		}
		for _, s := range k.to.histograms {
			if s == nil {
				break
			}
			s.n++
			s.us += uint64(c.us)
			s.cells[m.grid.cell(c.us)]++
			s.seen = seen
		}
	}
}

// find sets the series that calls of a kind count in.
func (m *Metrics) find(k *kind, now time.Time) {
	k.to = targets{}
	counters, histograms := 0, 0
	get := func(f *family, labels ...string) *series {
		s, removed := f.get(now, labels...)
		if removed {
			m.generation++
		}
		return s
	}
	count := func(f *family, labels ...string) {
		k.to.counters[counters] = get(f, labels...)
		counters++
	}
	observe := func(f *family, labels ...string) {
		s := get(f, labels...)
		if s.cells == nil {
			s.cells = make([]uint64, len(m.grid.upper))
		}
		k.to.histograms[histograms] = s
		histograms++
	}
	code := strconv.Itoa(int(k.code))
	if k.loadTest {
		count(m.loadTest, k.function, k.revision, k.zone, code)
		k.to.generation = m.generation
		return
	}
	count(m.calls, k.function, k.revision, k.zone, code)
	if k.pod != "" {
		count(m.pods, k.function, k.revision, k.zone, k.pod, code)
	}
	switch {
	case k.limit != "":
		count(m.refused, k.function, k.limit)
	case k.pod != "":
		observe(m.podTime, k.function, k.revision, k.zone, k.pod)
		fallthrough
	default:
		observe(m.duration, k.function, k.revision, k.zone)
	}
	k.to.generation = m.generation
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, f := range []*family{m.calls, m.loadTest, m.refused, m.pods, m.duration, m.podTime} {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, metric := range m.snapshot() {
		out <- metric
	}
}

// snapshot copies all series: whoever takes them from a channel must not hold up
// the counting.
func (m *Metrics) snapshot() (all []prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range []*family{m.calls, m.loadTest, m.refused, m.pods} {
		all = f.counters(all)
	}
	all = m.duration.histograms(m.grid, classic[:], all)
	return m.podTime.histograms(m.grid, nil, all)
}
