package search

import (
	"math"
	"slices"
)

// curve is how the share of bad requests grows with the rate, and what the requests
// so far say about where it crosses the allowed share:
//
//	logit((p-b)/(1-b)) = logit((a-b)/(1-b)) + s·(ln r - x)
//
//	where  p  share of bad requests at rate r
//	       a  share that is allowed
//	       b  share that is bad at any rate, below a
//	       s  slope: at the crossing the share grows by s % when the rate grows by 1 %
//	       x  ln of the rate of the crossing, which is what is searched for
//
// x, s and b are on a grid, with a prior on each. The likelihood of all probes is that
// of independent requests, to the power of one over their dispersion: requests that
// are late because of the load come in bursts, and n of them tell as much as
// n/dispersion that came alone. The dispersion is measured from blocks of about two
// seconds and from whole probes, the larger of both counts.
type curve struct {
	allowed float64
	shapes  []*shape
	probes  []tally
	blocks  []tally
	bad     float64
	single  bool
}

// tally is the requests of one stretch of time at one rate.
type tally struct {
	at     int // ln of the rate, in grid steps
	n, bad float64
	when   float64 // part of the budget that was over
}

// crossing is what is known about the rate at which the curve crosses.
type crossing struct {
	from int       // ln of the lowest rate, in grid steps
	ps   []float64 // probability of each step, together 1
}

// steps is a distance in grid steps.
func steps(d float64) int { return int(math.Round(d / gridStep)) }

// stepOf is the grid step next to a rate, and snap that step's rate.
func stepOf(rate float64) int   { return steps(math.Log(rate)) }
func snap(rate float64) float64 { return math.Exp(gridStep * float64(stepOf(rate))) }

const (
	gridStep   = 0.005 // of x
	gridBelow  = 0.7   // x may be this far below the lowest informative rate
	gridAbove  = 0.6   // and this far above the highest
	priorSlope = 16.0  // median of the slope
	priorWidth = 0.35  // of its logarithm
	baseWidth  = 0.15  // of the base that the queue says
	// dispersionPrior is the dispersion to begin with, worth dispersionWeight bad
	// requests: what was measured at the limits of the simulated pods.
	dispersionPrior, dispersionWeight = 10.0, 15.0
)

var (
	slopes = []float64{8, 10, 13, 16, 20, 26, 34, 50, 100}
	bases  = []float64{0, 0.12, 0.24, 0.36, 0.5, 0.65, 0.8} // of the allowed share
	// A base is the exception: most pods have none.
	baseWeight = []float64{0.4, 0.15, 0.15, 0.1, 0.1, 0.07, 0.03}
)

func newCurve(allowed float64) *curve {
	c := &curve{allowed: allowed}
	for _, s := range slopes {
		for _, b := range bases {
			c.shapes = append(c.shapes, newShape(allowed, s, b))
		}
	}
	return c
}

// add takes in a probe. Failures, which come one by one, say nothing before there
// are a few.
func (c *curve) add(probe tally, blocks []tally, single bool) {
	c.probes = append(c.probes, probe)
	c.blocks = append(c.blocks, blocks...)
	c.single = single
	c.bad += probe.bad
}

// silent tells that the curve is no reason to doubt any rate yet.
func (c *curve) silent() bool { return len(c.probes) == 0 || c.single && c.bad < fewFailures }

// fewFailures are that many that say nothing.
const fewFailures = 3

// crossing is the posterior of x, after a climb that ended at a rate. Without any bad
// request all that is known is that it is above the rates that were tried.
func (c *curve) crossing(ended float64, queue belief, d drift) crossing {
	all, blocks := shifted(c.probes, d), shifted(c.blocks, d)
	lo, hi := all[0].at, all[0].at
	for _, p := range all {
		lo, hi = min(lo, p.at), max(hi, p.at)
	}
	lo = max(lo, hi-steps(1.2)) // what is that far below the highest says nothing about the crossing
	g := grid{from: lo - steps(gridBelow), n: hi - lo + steps(gridBelow) + steps(gridAbove), shapes: c.shapes, ended: ended, queue: queue}
	probes := merge(all, lo-steps(0.3))
	bursts := dispersionPrior
	var s *shape
	x := hi
	for range 3 {
		g.read(probes, func(t tally) float64 { return s.dispersion(t.at-x, bursts) })
		s, x = g.fit()
		bursts = max(c.bursts(s, x, blocks), c.bursts(s, x, all))
	}
	return g.posterior()
}

// shifted are tallies at the rates that they amount to at the end of the budget.
func shifted(all []tally, d drift) []tally {
	if d.down < gridStep/2 {
		return all
	}
	out := slices.Clone(all)
	for i := range out {
		out[i].at -= int(math.Round(d.down * (1 - out[i].when) / gridStep))
	}
	return out
}

// merge joins the tallies of equal rates, from a step on.
func merge(probes []tally, from int) (out []tally) {
	place := map[int]int{}
	for _, p := range probes {
		if p.at < from {
			continue
		}
		i, ok := place[p.at]
		if !ok {
			i = len(out)
			place[p.at] = i
			out = append(out, tally{at: p.at})
		}
		out[i].n += p.n
		out[i].bad += p.bad
	}
	return out
}

// bursts is the variance of the number of bad requests that the load makes over that
// of independent ones, for the curve that crosses at x.
func (c *curve) bursts(s *shape, x int, of []tally) float64 {
	squares, expected := dispersionPrior*dispersionWeight, dispersionWeight
	for _, t := range of {
		p := math.Exp(s.at(s.bad, t.at-x))
		alone := min(s.base, p) * t.n
		d := t.bad - t.n*p
		squares += d*d - alone
		expected += t.n*p*(1-p) - alone
	}
	return max(1, squares/expected)
}

// dispersion is that at a distance from the crossing: what is bad at any rate comes
// alone, what the load makes comes in bursts.
func (s *shape) dispersion(distance int, bursts float64) float64 {
	if s == nil {
		return bursts
	}
	p := math.Exp(s.at(s.bad, distance))
	return 1 + (bursts-1)*(1-min(s.base/p, 1))
}

// shape is a curve but for its crossing: the logarithms of the shares of bad and of
// good requests, by the distance from the crossing.
type shape struct {
	slope     float64
	base      float64 // share that is bad at any rate
	bad, good []float64
}

// shapeSpan is how far a shape reaches to both sides of its crossing.
const shapeSpan = 3.0

func newShape(allowed, slope, base float64) *shape {
	b := base * allowed
	s := &shape{slope: slope, base: b}
	middle := logit((allowed - b) / (1 - b))
	for d := -steps(shapeSpan); d <= steps(shapeSpan); d++ {
		z := min(max(middle+slope*float64(d)*gridStep, -40), 40)
		p := min(max(b+(1-b)/(1+math.Exp(-z)), 1e-12), 1-1e-9)
		s.bad, s.good = append(s.bad, math.Log(p)), append(s.good, math.Log1p(-p))
	}
	return s
}

func logit(p float64) float64 { return math.Log(p / (1 - p)) }

func (s *shape) at(values []float64, distance int) float64 {
	return values[min(max(distance+steps(shapeSpan), 0), len(values)-1)]
}

// grid holds the logarithm of the likelihood of all curves.
type grid struct {
	from, n int // crossings, in steps
	shapes  []*shape
	ended   float64
	queue   belief
	log     [][]float64 // by shape, then crossing
}

// read takes in the requests at each rate, each for as much as it tells.
func (g *grid) read(rates []tally, dispersion func(tally) float64) {
	g.log = g.log[:0]
	prior := make([]float64, g.n)
	for i := range prior {
		prior[i] = g.priorAt(i)
	}
	for k, s := range g.shapes {
		g.log = append(g.log, slices.Clone(prior))
		shape := g.queue.shape(s.slope, k%len(bases))
		for i := range g.log[k] {
			g.log[k][i] += shape
		}
	}
	for _, t := range rates {
		w := 1 / dispersion(t)
		for k, s := range g.shapes {
			row := g.log[k]
			for i := range row {
				d := t.at - g.from - i
				row[i] += w * (t.bad*s.at(s.bad, d) + (t.n-t.bad)*s.at(s.good, d))
			}
		}
	}
}

// shape is the logarithm of the prior of a slope and a base.
func (b belief) shape(slope float64, base int) float64 {
	if b.width == 0 {
		z := math.Log(slope/priorSlope) / priorWidth
		return math.Log(baseWeight[base]) - z*z/2
	}
	z, y := math.Log(slope/b.slope)/priorWidth, (bases[base]-b.base)/baseWidth
	return -(z*z + y*y) / 2
}

// priorAt is what the end of the climb says about the crossing: it is about a tenth
// below, seldom much further, and above it when a burst ended the climb too early.
func (g *grid) priorAt(i int) float64 {
	if g.queue.width > 0 { // Student's t with four degrees: pods may be of another kind
		z := (gridStep*float64(g.from+i) - g.queue.at) / g.queue.width
		return -2.5 * math.Log1p(z*z/4)
	}
	if math.IsInf(g.ended, 1) {
		return 0
	}
	z := (gridStep*float64(g.from+i) - math.Log(g.ended) + endedMean) / endedWidth
	if z > 0 {
		return -min(z*z/8, burstDoubt)
	}
	return -z * z / 2
}

const endedMean, endedWidth = 0.10, 0.10

// burstDoubt is how much is to be said against a burst far below the limit: the climb
// may have ended by one.
const burstDoubt = 5.0

// fit is the likeliest curve and its crossing.
func (g *grid) fit() (s *shape, x int) {
	best := math.Inf(-1)
	for k, row := range g.log {
		for i, v := range row {
			if v > best {
				best, s, x = v, g.shapes[k], g.from+i
			}
		}
	}
	return s, x
}

func (g *grid) posterior() crossing {
	top := math.Inf(-1)
	for _, row := range g.log {
		top = max(top, slices.Max(row))
	}
	c, sum := crossing{g.from, make([]float64, g.n)}, 0.0
	for _, row := range g.log {
		for i, v := range row {
			e := math.Exp(v - top)
			c.ps[i] += e
			sum += e
		}
	}
	for i := range c.ps {
		c.ps[i] /= sum
	}
	return c
}

// quantile is the rate below which the crossing is with this probability.
func (c crossing) quantile(q float64) float64 {
	sum := 0.0
	for i, p := range c.ps {
		if sum += p; sum >= q {
			return math.Exp(gridStep * (float64(c.from+i) + 0.5 - (sum-q)/p))
		}
	}
	return math.Inf(1)
}
