package search

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Seen is what a probe saw besides its verdict. Times are seconds; zero without
// requests.
type Seen struct {
	Mean float64 `json:"mean_s,omitempty"`
	P50  float64 `json:"p50_s,omitempty"`
	P99  float64 `json:"p99_s,omitempty"`
	// InFlight is how many requests were in the pod at once on average, by Little's law:
	// those that ended in a second times how long one took.
	InFlight float64 `json:"in_flight,omitempty"`

	ended float64 // requests a second
	whole bool    // all of the planned time: what it saw was steady
}

// meter measures one probe.
type meter struct {
	latency *hdrhistogram.Histogram // microseconds, to a percent
	sum     float64                 // seconds
	n       int
	early   []float64 // seconds: the first requests
	first   int       // how many these are
	late    *hdrhistogram.Histogram
}

const longest = int64(10 * time.Minute / time.Microsecond)

// earlySeconds is what a cold pod shows in.
const earlySeconds = 2

func newMeter(rate float64) *meter {
	return &meter{
		latency: hdrhistogram.New(1, longest, 2), late: hdrhistogram.New(1, longest, 2),
		first: int(min(rate*earlySeconds, 1e5)),
	}
}

// around measures what observe is told.
func (m *meter) around(observe func(time.Duration, bool) bool) func(time.Duration, bool) bool {
	return func(latency time.Duration, ok bool) bool {
		us := min(max(1, latency.Microseconds()), longest)
		_ = m.latency.RecordValue(us) // never out of range
		m.sum += latency.Seconds()
		if m.n++; m.n <= m.first {
			m.early = append(m.early, latency.Seconds())
		} else {
			_ = m.late.RecordValue(us)
		}
		return observe(latency, ok)
	}
}

// seen is of a probe that took elapsed of planned.
func (m *meter) seen(elapsed, planned time.Duration) Seen {
	if m.n == 0 || elapsed <= 0 {
		return Seen{}
	}
	s := Seen{
		Mean: m.sum / float64(m.n), P50: float64(m.latency.ValueAtQuantile(50)) / 1e6, P99: float64(m.latency.ValueAtQuantile(99)) / 1e6,
		ended: float64(m.n) / elapsed.Seconds(), whole: elapsed >= planned*9/10,
	}
	s.InFlight = s.ended * s.Mean
	return s
}

// Note is something that the answer depends on: either how it was, or that nobody
// knows.
type Note struct {
	About string `json:"about"`
	Known bool   `json:"known"`
	Text  string `json:"text"`
}

// String is a line for people.
func (n Note) String() string {
	if n.Known {
		return n.About + ": " + n.Text
	}
	return n.About + ": not known: " + n.Text
}

// What makes a pod cold: requests of the first seconds took this many times as long,
// and more of them were above the others' median than chance puts there.
const (
	coldTimes  = 1.2
	coldErrors = 4.0 // standard errors
	coldFewest = 30  // requests of both
)

// cold says whether the first seconds of the first probe were slower than the rest of
// it, at the same rate.
func (m *meter) cold(rate float64) Note {
	n := Note{About: "cold caches"}
	if len(m.early) < coldFewest || m.late.TotalCount() < coldFewest {
		n.Text = fmt.Sprintf("too few requests in the first %d s to tell; what a pod takes that has just started may be less", earlySeconds)
		return n
	}
	n.Known = true
	later := float64(m.late.ValueAtQuantile(50)) / 1e6
	above := 0
	for _, l := range m.early {
		if l > later {
			above++
		}
	}
	early := middleOf(m.early)
	count := float64(len(m.early))
	z := (float64(above)/count - 0.5) / math.Sqrt(0.25/count)
	if z > coldErrors && early > coldTimes*later {
		n.Text = fmt.Sprintf("the first %d s took %.1f times as long as what came later at the same %.1f/s (p50 %s against %s): a pod that has just started takes less than the safe rate",
			earlySeconds, early/later, rate, short(early), short(later))
		return n
	}
	n.Text = fmt.Sprintf("no sign of any: the first %d s at %.1f/s were as quick as later ones (p50 %s against %s); what a pod takes that has just started was not measured",
		earlySeconds, rate, short(early), short(later))
	return n
}

// short is a time for people.
func short(seconds float64) time.Duration {
	d := time.Duration(seconds * float64(time.Second))
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Microsecond)
}

func middleOf(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
