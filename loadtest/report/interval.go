package report

import (
	"math"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kongdao/kongdao/loadtest/sketch"
)

// Interval is a stretch of a run. Times are seconds. Requests belong to the interval
// in which they were due, but for those that are said to have been sent in it.
type Interval struct {
	At       float64       `json:"at_s"` // its begin, from the begin of the run
	Length   float64       `json:"length_s"`
	Planned  uint64        `json:"planned"`
	Sent     uint64        `json:"sent"` // in it, whenever they were due
	Late     uint64        `json:"late"`
	Lagging  uint64        `json:"lagging"` // sent in it, later than they could have been
	Dropped  uint64        `json:"dropped"`
	Failed   uint64        `json:"failed"` // without a whole answer, or answered with 500 and above
	Own      uint64        `json:"own_faults"`
	Good     uint64        `json:"good"` // answered with 200 to 399
	Latency  sketch.Sketch `json:"latency"`
	P50      float64       `json:"p50_s"`
	P99      float64       `json:"p99_s"`
	Max      float64       `json:"max_s"`
	LagP99   float64       `json:"lag_p99_s"`
	CPU      float64       `json:"cpu"`        // share of its cores that the generator used
	Core     float64       `json:"core"`       // share of the busiest of them that anybody used
	Waited   float64       `json:"cpu_wait_s"` // sum over threads of the generator that had no core
	Paused   float64       `json:"gc_pause_s"`
	LongestP float64       `json:"gc_longest_pause_s"`
}

// Batches joins neighbouring intervals until there are most of them or fewer. Those
// without answers are left out.
func batches(all []Interval, most int) []batch {
	var filled []batch
	for _, i := range all {
		if i.Latency.Count() > 0 {
			filled = append(filled, batch{latency: i.Latency, n: float64(i.Planned), good: float64(i.Good)})
		}
	}
	per := (len(filled) + most - 1) / most
	if per <= 1 {
		return filled
	}
	return joined(filled, per)
}

// batch is some consecutive requests.
type batch struct {
	latency sketch.Sketch
	n, good float64 // requests due, and of these answered well
}

// joined makes one of each per; a rest that is too short goes to the last.
func joined(in []batch, per int) []batch {
	var out []batch
	for from := 0; from+per <= len(in); from += per {
		to := from + per
		if to+per > len(in) {
			to = len(in)
		}
		var b batch
		var latencies []sketch.Sketch
		for _, x := range in[from:to] {
			latencies = append(latencies, x.latency)
			b.n, b.good = b.n+x.n, b.good+x.good
		}
		b.latency = sketch.Merge(latencies...)
		out = append(out, b)
	}
	return out
}

// Encoded is a histogram in HdrHistogram's own encoding, which its libraries in other
// languages read; empty when nothing was counted.
func Encoded(h *hdrhistogram.Histogram) string {
	if h == nil || h.TotalCount() == 0 {
		return ""
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "" // only for other encodings than this
	}
	return string(b)
}

// intervalsOf sorts single results into intervals.
type intervalsOf struct {
	length time.Duration
	began  time.Time
	all    []Interval
	counts []*sketch.Recorder
}

// maxIntervals bounds what a file of single results may make us hold, 10 hours.
const maxIntervals = 36_000

func (x *intervalsOf) add(at time.Time, latency time.Duration, good, failed bool) {
	i := int(at.Sub(x.began) / x.length)
	if i < 0 || i >= maxIntervals {
		return
	}
	for len(x.all) <= i {
		x.all = append(x.all, Interval{At: (time.Duration(len(x.all)) * x.length).Seconds(), Length: x.length.Seconds()})
		x.counts = append(x.counts, nil)
	}
	if x.counts[i] == nil {
		x.counts[i] = sketch.NewRecorder()
	}
	v := &x.all[i]
	v.Planned++
	v.Sent++
	x.counts[i].Add(latency)
	if good {
		v.Good++
	}
	if failed {
		v.Failed++
	}
}

func (x *intervalsOf) done() []Interval {
	for i := range x.all {
		if x.counts[i] != nil {
			x.all[i].Describe(x.counts[i].Sketch())
		}
	}
	return x.all
}

// Describe sets the latencies.
func (i *Interval) Describe(s sketch.Sketch) {
	i.Latency = s
	i.P50, i.P99, i.Max = rounded(s.Quantile(0.5)), rounded(s.Quantile(0.99)), rounded(s.Max())
}

// rounded is in whole microseconds: more digits are no knowledge.
func rounded(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }

// Spans names the times of intervals, such as "3–5 s, 9–10 s".
func Spans(all []Interval) string {
	var parts []string
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && math.Abs(all[j].At-all[j-1].At-all[j-1].Length) < 1e-6 {
			j++
		}
		parts = append(parts, trim(all[i].At)+"–"+trim(all[j-1].At+all[j-1].Length)+" s")
		i = j
	}
	if len(parts) > 6 {
		parts = append(parts[:6], "…")
	}
	return strings.Join(parts, ", ")
}

// quantile is that of all batches together.
func quantile(all []batch, p float64) time.Duration {
	sketches := make([]sketch.Sketch, len(all))
	for i, b := range all {
		sketches[i] = b.latency
	}
	return sketch.Merge(sketches...).Quantile(p)
}

// below is how many requests of b took no longer than d.
func below(b batch, d time.Duration) float64 {
	return b.latency.Share(d) * float64(b.latency.Count())
}
