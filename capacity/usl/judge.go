package usl

import (
	"fmt"
	"math"
)

// From where on a fit is poor.
const (
	leastR2    = 0.95 // of the variation that it explains
	mostOff    = 0.05 // of X, root of the mean square
	leastRange = 3.0  // of the highest concurrency to the lowest
	// A law of another shape shows in points that lie above and below the curve in
	// long stretches. It counts when it is this unlikely by chance, and the curve is
	// off by so much that it matters.
	bentChance = 0.05
	bentOff    = 0.01
)

// judge says how well the curve describes the points.
func (f *Fit) judge(points []Point, c curve) {
	mean, total, relative := 0.0, 0.0, 0.0
	for _, p := range points {
		mean += p.Throughput / float64(len(points))
	}
	above := make([]bool, 0, len(points))
	for _, p := range points {
		d := p.Throughput - p.Concurrency/c.seconds(p.Concurrency)
		total += (p.Throughput - mean) * (p.Throughput - mean)
		relative += d * d / (p.Throughput * p.Throughput)
		above = append(above, d > 0)
	}
	f.Off = math.Sqrt(relative / float64(len(points)))
	if total > 0 {
		f.R2 = 1 - c.squares(points)/total
	}
	poor := func(is bool, format string, args ...any) {
		if is {
			f.Poor = append(f.Poor, fmt.Sprintf(format, args...))
		}
	}
	poor(f.Highest < leastRange*f.Lowest, "concurrency was %.3g to %.3g alone: too narrow a range", f.Lowest, f.Highest)
	poor(f.R2 < leastR2, "it explains %.0f %% of the variation alone", 100*max(0, f.R2))
	poor(f.Off > mostOff, "it is off by %.0f %% on average", 100*f.Off)
	poor(f.Off > bentOff && runsChance(above) < bentChance, "points are above and below it in long stretches: the law has another shape")
	most := mostAt(points, math.Inf(1))
	poor(f.Ceiling > 0 && most > overCeiling*f.Ceiling, "%.1f/s was seen, more than the %.1f/s that it says is possible", most, f.Ceiling)
	poor(f.Sigma.High-f.Sigma.Low > 1, "σ is somewhere from %.2g to %.2g", f.Sigma.Low, f.Sigma.High)
	switch {
	case f.Peak == 0:
	case f.Kappa.Low == 0:
		f.Beyond = "κ may be 0: whether there is an N* at all is not known"
	case f.Highest < f.Peak:
		f.Beyond = fmt.Sprintf("concurrency was never above %.0f %% of N*: extrapolated", 100*f.Highest/f.Peak)
	case !f.falls(points):
		f.Beyond = "throughput was never seen to fall: that it would above N* is the law's shape alone"
	}
}

// overCeiling is by how much more than is possible may be seen by chance, and fallen
// the part of the highest throughput below which it has fallen.
const overCeiling, fallen = 1.01, 0.98

// falls tells whether throughput was lower above N* than up to it. A pod whose workers
// are busy has a curve that bends as if it were to fall, and never does.
func (f *Fit) falls(points []Point) bool {
	last := points[len(points)-1]
	return last.Concurrency > f.Peak && last.Throughput < fallen*mostAt(points, f.Peak)
}

// mostAt is the highest throughput seen with up to n at once.
func mostAt(points []Point, n float64) (most float64) {
	for _, p := range points {
		if p.Concurrency <= n {
			most = max(most, p.Throughput)
		}
	}
	return most
}

// runsChance is the probability of as few changes of sides, or fewer, were each side
// by chance (the runs test, by counting all orders).
func runsChance(above []bool) float64 {
	a, b, runs := 0, 0, 1
	for i, up := range above {
		if up {
			a++
		} else {
			b++
		}
		if i > 0 && up != above[i-1] {
			runs++
		}
	}
	if a == 0 || b == 0 {
		return 1 // least squares leave points on both sides; nothing to be told
	}
	p := 0.0
	for r := 2; r <= runs; r++ {
		k := r / 2
		ways := 2 * choose(a-1, k-1) * choose(b-1, k-1)
		if r%2 == 1 {
			ways = choose(a-1, k)*choose(b-1, k-1) + choose(a-1, k-1)*choose(b-1, k)
		}
		p += ways
	}
	return p / choose(a+b, a)
}

// choose is the number of ways to choose k of n; 0 when k is more.
func choose(n, k int) float64 {
	if k < 0 || k > n {
		return 0
	}
	x := 1.0
	for i := range k {
		x = x * float64(n-i) / float64(i+1)
	}
	return math.Round(x)
}
