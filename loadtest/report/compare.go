package report

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Difference is what a figure of run B is compared with that of run A. Shares are
// relative, such as 0.1 for a tenth slower, but for "failures", whose figures are
// shares of requests themselves, 0 to 1.
//
// Runs are cut into batches, because requests that follow each other are alike, and
// a test that takes them for independent finds differences everywhere. The figure of
// every batch of A, xᵢ, is compared with that of every batch of B, yⱼ:
//
//	Δ = median of all ln yⱼ − ln xᵢ            (J. L. Hodges, E. L. Lehmann, Ann. Math. Stat. 34 (1963) 598–611)
//	[Low, High] = the k-th smallest and the k-th largest of them
//	k = m·n/2 − z·√(m·n·(m+n+1)/12 · v)
//
//	where  m, n  batches of A and B, 20 at most
//	       z     1−α/2 quantile of the normal distribution; α = 5 % / number of figures compared
//	       v     max(1, (1+r)/(1−r)), r the correlation of neighbouring batches that is left
//
// The interval leaves out 0 exactly when Mann and Whitney's rank test finds a
// difference (H. B. Mann, D. R. Whitney, Ann. Math. Stat. 18 (1947) 50–60). α is divided
// (Bonferroni), so that a comparison of equal runs finds any difference in 5 % of cases
// at most. Failures are compared by Welch's t-test over batches.
type Difference struct {
	Figure string  `json:"figure"` // p50, p90, p99 or failures
	A      float64 `json:"a"`      // seconds, or share
	B      float64 `json:"b"`
	Change float64 `json:"change"` // of B against A
	Low    float64 `json:"low"`    // bounds of the change
	High   float64 `json:"high"`
	Real   bool    `json:"real"` // chance alone is no explanation
	// Visible is the smallest change that these runs would have shown, 8 times of 10.
	Visible float64 `json:"visible"`
}

// Comparison of two runs.
type Comparison struct {
	A           string       `json:"a"`
	B           string       `json:"b"`
	Verdict     string       `json:"verdict"` // better, worse, mixed, or none that this data can show
	Tolerance   float64      `json:"tolerance"`
	Beyond      bool         `json:"beyond_tolerance"` // some figure is worse by more than the tolerance for certain
	Batches     [2]int       `json:"batches"`
	Differences []Difference `json:"differences"`
	Warnings    []string     `json:"warnings,omitempty"`
}

// Verdicts.
const (
	Better      = "better"
	Worse       = "worse"
	Mixed       = "mixed"
	Nothing     = "no difference that this data can show"
	familyLevel = 0.05
	power       = 0.8
	most        = 20 // batches for the tests; longer ones are less alike
)

// ErrNotComparable is for runs that say nothing about their target, or too little.
var ErrNotComparable = errors.New("cannot be compared")

// Compare says how run b differs from run a. It is worse beyond tolerance when the
// whole interval of some change is above it: 0.05 is a twentieth slower, or for failures
// 5 % of the requests.
func Compare(a, b Result, tolerance float64) (Comparison, error) {
	c := Comparison{A: a.Run, B: b.Run, Tolerance: tolerance, Warnings: unlike(a, b)}
	var in [2][]batch
	for i, r := range []Result{a, b} {
		if !r.Valid {
			return c, fmt.Errorf("run %s %w: it is invalid", r.Run, ErrNotComparable)
		}
		if in[i] = batches(r.Intervals, most); len(in[i]) < LeastBatches {
			return c, fmt.Errorf("run %s %w: it has %d parts with answers, want %d", r.Run, ErrNotComparable, len(in[i]), LeastBatches)
		}
		c.Batches[i] = len(in[i])
	}
	quantiles := []struct {
		name string
		p    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}
	z := distuv.UnitNormal.Quantile(1 - familyLevel/float64(2*(len(quantiles)+1)))
	for _, q := range quantiles {
		d := shift(logs(in[0], q.p), logs(in[1], q.p), z)
		d.Figure, d.A, d.B = q.name, quantile(in[0], q.p).Seconds(), quantile(in[1], q.p).Seconds()
		c.Differences = append(c.Differences, d)
	}
	c.Differences = append(c.Differences, failures(in[0], in[1]))
	c.judge()
	return c, nil
}

func (c *Comparison) judge() {
	better, worse := false, false
	for _, d := range c.Differences {
		better = better || d.Real && d.Change < 0
		worse = worse || d.Real && d.Change > 0
		c.Beyond = c.Beyond || d.Real && d.Low > c.Tolerance
	}
	switch {
	case better && worse:
		c.Verdict = Mixed
	case better:
		c.Verdict = Better
	case worse:
		c.Verdict = Worse
	default:
		c.Verdict = Nothing
	}
}

// unlike is why a difference may not be one of the target.
func unlike(a, b Result) []string {
	var w []string
	if a.OfferedRate > 0 && math.Abs(b.OfferedRate/a.OfferedRate-1) > 0.01 {
		w = append(w, fmt.Sprintf("the runs offered different rates: %.1f/s and %.1f/s", a.OfferedRate, b.OfferedRate))
	}
	if a.Scenario != b.Scenario {
		w = append(w, fmt.Sprintf("the runs are of different scenarios: %s and %s", a.Scenario, b.Scenario))
	}
	for _, r := range []Result{a, b} {
		if len(r.Intervals) > 0 && r.Seconds < 10 {
			w = append(w, fmt.Sprintf("run %s took %.1f s: disturbances of a second and longer are not told from change", r.Run, r.Seconds))
		}
	}
	return w
}

func logs(all []batch, p float64) []float64 {
	out := make([]float64, len(all))
	for i, b := range all {
		out[i] = math.Log(max(1e-6, b.latency.Quantile(p).Seconds()))
	}
	return out
}

// shift compares logarithms.
func shift(x, y []float64, z float64) Difference {
	var all []float64
	for _, a := range x {
		for _, b := range y {
			all = append(all, b-a)
		}
	}
	slices.Sort(all)
	m, n := float64(len(x)), float64(len(y))
	inflated := (inflation(x)*m + inflation(y)*n) / (m + n)
	spread := math.Sqrt(m * n * (m + n + 1) / 12 * inflated)
	k := int(math.Floor(m*n/2 - z*spread))
	k = max(0, min(k, len(all)/2))
	middle := (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	low, high := all[k], all[len(all)-1-k]
	sigma := (high - low) / (2 * z) // of the estimate
	return Difference{
		Change: math.Expm1(middle), Low: math.Expm1(low), High: math.Expm1(high), Real: low > 0 || high < 0,
		Visible: math.Expm1((z + distuv.UnitNormal.Quantile(power)) * sigma),
	}
}

// inflation is by how much more the mean of neighbours that are alike varies.
func inflation(x []float64) float64 {
	mean, squares, products := 0.0, 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for i, v := range x {
		squares += (v - mean) * (v - mean)
		if i > 0 {
			products += (v - mean) * (x[i-1] - mean)
		}
	}
	if squares == 0 {
		return 1
	}
	r := min(0.8, products/squares+1/float64(len(x))) // the estimate is that much too low
	return max(1, (1+r)/(1-r))
}

// failures compares the shares of requests that were not answered well.
func failures(a, b []batch) Difference {
	shareA, varA := failed(a)
	shareB, varB := failed(b)
	d := Difference{Figure: figureFailures, A: shareA, B: shareB, Change: shareB - shareA}
	deviation := math.Sqrt(varA + varB)
	m, n := float64(len(a)), float64(len(b))
	freedom := m + n - 2
	if deviation > 0 {
		freedom = (varA + varB) * (varA + varB) / (varA*varA/(m-1) + varB*varB/(n-1))
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}
	width := t.Quantile(1 - familyLevel/8)
	d.Low, d.High = d.Change-width*deviation, d.Change+width*deviation
	d.Real = d.Change != 0 && (d.Low > 0 || d.High < 0)
	d.Visible = (width + t.Quantile(power)) * deviation
	if deviation == 0 && d.Change == 0 {
		d.Visible = rare(a, b)
	}
	return d
}

// rare is what none among so many can hide: 5 % of runs would show none at a share of
// 3/n ("rule of three").
func rare(a, b []batch) float64 {
	n := 0.0
	for _, x := range slices.Concat(a, b) {
		n += x.n
	}
	return min(1, 3/max(1, n/2))
}

// failed is the share, and the variance of its estimate between batches.
func failed(all []batch) (share, variance float64) {
	n, bad := 0.0, 0.0
	for _, b := range all {
		n, bad = n+b.n, bad+b.n-b.good
	}
	share = bad / n
	for _, b := range all {
		d := b.n - b.good - share*b.n
		variance += d * d
	}
	k := float64(len(all))
	return share, k / (k - 1) * variance / (n * n)
}
