package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/gonum/stat/distuv"
)

// Confidence says between which values the true figures lie, had the run gone on for
// ever under the same conditions. It is about chance alone: that conditions change
// (caches, neighbours, the time of day) no interval can know.
//
// A percentile's bounds are order statistics. Of n independent requests the number
// that are no slower than the true p-quantile is binomial, so that
//
//	P(X₍ₗ₎ ≤ q < X₍ᵤ₎) ≥ 1−α   for  l = Q(α/2),  u = Q(1−α/2) + 1
//
//	where  X₍ₖ₎  the k-th fastest request
//	       Q    quantile function of Binomial(n, p)
//
// (H. A. David, H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1), whatever the
// distribution of latencies.
//
// Requests are not independent: one that is slow holds up the next. So the run is cut
// into B batches, 30 at most, and the number that are slower than the percentile is
// compared between them; n becomes nₑ = n / D:
//
//	D = max(1, B/(B−1) · Σ (cᵢ − p·nᵢ)² / (n·p·(1−p))) · (t/z)²
//
//	where  nᵢ, cᵢ  requests of batch i, and those of them that are no slower
//	       t, z    1−α/2 quantiles of Student's t with B−1 degrees of freedom, and of the normal distribution
//
// This is the method of batch means (B. Schmeiser, Batch Size Effects in the Analysis of
// Simulation Output, Operations Research 30 (1982) 556–568, who advises 10 to 30
// batches), turned into bounds of a percentile as by R. S. Woodruff, Confidence
// Intervals for Medians and Other Position Measures, JASA 47 (1952) 635–646. The bounds
// of the mean are those of batch means.
//
// Batches must be long compared with how long a disturbance lasts; with fewer than
// [LeastBatches] there are no bounds.
type Confidence struct {
	Level   float64 `json:"level"`   // 0.95; 0: no bounds
	Batches int     `json:"batches"` // B
	Mean    Bounds  `json:"mean"`
	P50     Bounds  `json:"p50"`
	P90     Bounds  `json:"p90"`
	P99     Bounds  `json:"p99"`
	Note    string  `json:"note,omitempty"`
}

// Bounds of a figure, seconds.
type Bounds struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Open: there are too few requests to bound the figure from above; High is the
	// slowest of them.
	Open bool `json:"open,omitempty"`
	// Effective is as many independent requests as would tell as much.
	Effective float64 `json:"effective_requests"`
}

const (
	level = 0.95
	// LeastBatches is how many parts of a run are needed to tell chance from change.
	LeastBatches = 8
	mostBatches  = 30
)

// ConfidenceOf has the bounds of h, the latencies of r.
func (r Result) ConfidenceOf(h *hdrhistogram.Histogram) Confidence {
	b := batches(r.Intervals, mostBatches)
	if len(b) < LeastBatches {
		return Confidence{Batches: len(b), Note: fmt.Sprintf("the run is too short for bounds: it has %d parts with answers, want %d", len(b), LeastBatches)}
	}
	c := Confidence{Level: level, Batches: len(b), Mean: meanBounds(b)}
	c.P50, c.P90, c.P99 = bounds(h, b, 0.5), bounds(h, b, 0.9), bounds(h, b, 0.99)
	if r.Seconds < 10 {
		c.Note = "the run is short: disturbances of a second and longer are not told from change"
	}
	return c
}

func student(batches int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(batches - 1)}.Quantile(1 - (1-level)/2)
}

func bounds(h *hdrhistogram.Histogram, all []batch, p float64) Bounds {
	n, squares := 0.0, 0.0
	q := quantile(all, p)
	for _, b := range all {
		k := float64(b.latency.Count())
		n += k
		d := below(b, q) - p*k
		squares += d * d
	}
	k := float64(len(all))
	spread := k / (k - 1) * squares / (n * p * (1 - p))
	wider := student(len(all)) / distuv.UnitNormal.Quantile(1-(1-level)/2)
	effective := max(1, math.Floor(n/(max(1, spread)*wider*wider)))
	low, high := ranks(effective, p)
	out := Bounds{
		Low:  seconds(h.ValueAtQuantile(100 * low / effective)),
		High: seconds(h.Max()), Open: high > effective, Effective: effective,
	}
	if !out.Open {
		out.High = seconds(h.ValueAtQuantile(100 * high / effective))
	}
	return out
}

// ranks are l and u of n independent requests.
func ranks(n, p float64) (low, high float64) {
	b := distuv.Binomial{N: n, P: p}
	return quantileOf(b, (1-level)/2), quantileOf(b, 1-(1-level)/2) + 1
}

// quantileOf is the smallest k with a probability of at least x.
func quantileOf(b distuv.Binomial, x float64) float64 {
	low, high := -1.0, b.N
	for high-low > 1 {
		middle := math.Floor((low + high) / 2)
		if b.CDF(middle) >= x {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// meanBounds are those of the ratio of two sums over batches, time and requests.
func meanBounds(all []batch) Bounds {
	n, sum := 0.0, 0.0
	for _, b := range all {
		k := float64(b.latency.Count())
		n += k
		sum += k * b.latency.Mean().Seconds()
	}
	mean, squares := sum/n, 0.0
	for _, b := range all {
		d := float64(b.latency.Count()) * (b.latency.Mean().Seconds() - mean)
		squares += d * d
	}
	k := float64(len(all))
	half := student(len(all)) * math.Sqrt(k/(k-1)*squares) / n
	return Bounds{Low: max(0, micro(mean-half)), High: micro(mean + half), Effective: k}
}

func micro(s float64) float64 { return math.Round(s*1e6) / 1e6 }

func trim(x float64) string { return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64) }

// line is "p50 10.1–10.4 ms  …", empty without bounds.
func (c Confidence) line() string {
	if c.Level == 0 {
		return ""
	}
	var parts []string
	for _, x := range []struct {
		name string
		b    Bounds
	}{{"mean", c.Mean}, {"p50", c.P50}, {"p90", c.P90}, {"p99", c.P99}} {
		high := ms(x.b.High)
		if x.b.Open {
			high = "? (too few requests)"
		}
		parts = append(parts, fmt.Sprintf("%s %.1f–%s", x.name, 1000*x.b.Low, high))
	}
	if c.Note != "" {
		parts = append(parts, "("+c.Note+")")
	}
	return strings.Join(parts, "  ")
}
