package search

import "math"

// queue is a pod as a line in which requests wait for one of its workers:
//
//	T = S + W,  P(W > t) = a·exp(-t/w),  a = (r/κ)^β,  w = ω / (1 - r/κ)
//
//	where  T  what a request takes at rate r
//	       S  what it takes without load: what it took at the lowest rates
//	       κ  the rate at which the pod saturates
//	       β  how rare it is to wait: √(2(c+1)) - 1 for c workers (Sakasegawa)
//	       ω  (1 + cv²)/2κ for services of coefficient of variation cv
//
// Of the many requests that are not late it takes what the few late ones, which come
// in bursts, do not tell: how close to κ a rate is. κ, β and ω are free; what theory
// says of them is where the fit begins and what it is pulled to.
type queue struct {
	atoms      []atom // of S
	base       float64
	mean, cv2  float64 // of S
	groups     []group
	thresholds []float64
}

// group is what was seen at one rate: requests between thresholds.
type group struct {
	rate  float64
	took  *sketch
	cells []float64
}

// params are the logarithms of κ, β and ω.
type params [3]float64

// fullest is the load beyond which a probe ends before its queue is what it would become.
const fullest = 0.99

// waiting is a and w at a rate, beyond those at the base rate.
func (q *queue) waiting(p params, rate float64) (a, w float64) {
	k, b := math.Exp(p[0]), math.Exp(p[1])
	rho := min(rate/k, fullest)
	a = 1 - (1-math.Pow(rho, b))/(1-math.Pow(min(q.base/k, 0.9), b))
	return max(a, 0), math.Exp(p[2]) / (1 - rho)
}

// tails are P(T > t) at a rate, for times in order; out is overwritten.
func (q *queue) tails(p params, rate float64, times, out []float64) []float64 {
	out = out[:0]
	a, w := q.waiting(p, rate)
	below, decayed, last, i := 0.0, 0.0, 0.0, 0
	for _, t := range times {
		decayed *= math.Exp((last - t) / w)
		for ; i < len(q.atoms) && q.atoms[i].at <= t; i++ {
			below += q.atoms[i].mass
			decayed += q.atoms[i].mass * math.Exp((q.atoms[i].at-t)/w)
		}
		out = append(out, 1-below+a*decayed)
		last = t
	}
	return out
}

// How far from theory a pod may be, as deviations of logarithms, and how many requests
// are worth one that is alone.
const (
	workersWidth, waitWidth = 0.3, 0.3
	together                = 25.0
)

// misfit is minus the logarithm of the posterior.
func (q *queue) misfit(p params) float64 {
	k, b := math.Exp(p[0]), math.Exp(p[1])
	workers := (b+1)*(b+1)/2 - 1
	if workers < 0.3 {
		return math.Inf(1)
	}
	z1 := math.Log(k*q.mean/workers) / workersWidth
	z2 := (p[2] - math.Log((1+q.cv2)/(2*k))) / waitWidth
	sum := (z1*z1 + z2*z2) / 2
	tails := make([]float64, 0, len(q.thresholds))
	for _, g := range q.groups {
		tails = q.tails(p, g.rate, q.thresholds, tails)
		above := 1.0
		for j, n := range g.cells {
			next := 0.0
			if j < len(tails) {
				next = tails[j]
			}
			if n > 0 {
				sum -= n * math.Log(max(above-next, 1e-9)) / together
			}
			above = next
		}
	}
	return sum
}

// crossing is the logarithm of the rate at which a share of the requests take longer
// than a limit.
func (q *queue) crossing(p params, limit, share float64) float64 {
	low, high := p[0]-3, p[0]+math.Log(fullest)
	at, out := []float64{limit}, make([]float64, 0, 1)
	for range 30 {
		m := (low + high) / 2
		if out = q.tails(p, math.Exp(m), at, out); out[0] > share {
			high = m
		} else {
			low = m
		}
	}
	return low
}

// fit is the likeliest p, and the deviation of a function of it.
func (q *queue) fit() (params, bool) {
	highest := 0.0
	for _, g := range q.groups {
		highest = max(highest, g.rate)
	}
	best, value := params{}, math.Inf(1)
	for _, room := range []float64{1.05, 1.15, 1.3, 1.6} {
		k := room * highest
		w := max(k*q.mean, 0.5)
		p := params{math.Log(k), math.Log(math.Sqrt(2*(w+1)) - 1), math.Log((1 + q.cv2) / (2 * k))}
		if v := q.misfit(p); v < value {
			best, value = p, v
		}
	}
	if math.IsInf(value, 1) {
		return best, false
	}
	return descend(q.misfit, best), true
}

// descend is the simplex method of Nelder and Mead.
func descend(f func(params) float64, start params) params {
	type point struct {
		at params
		v  float64
	}
	s := [4]point{{start, f(start)}}
	for i := range 3 {
		p := start
		p[i] += 0.1
		s[i+1] = point{p, f(p)}
	}
	along := func(from, to params, by float64) point {
		var p params
		for i := range p {
			p[i] = from[i] + by*(to[i]-from[i])
		}
		return point{p, f(p)}
	}
	for range 120 {
		for i := 1; i < 4; i++ { // in order, best first
			for j := i; j > 0 && s[j].v < s[j-1].v; j-- {
				s[j], s[j-1] = s[j-1], s[j]
			}
		}
		if s[3].v-s[0].v < 1e-4 {
			break
		}
		var middle params
		for i := range middle {
			middle[i] = (s[0].at[i] + s[1].at[i] + s[2].at[i]) / 3
		}
		r := along(middle, s[3].at, -1)
		switch {
		case r.v < s[0].v:
			if e := along(middle, s[3].at, -2); e.v < r.v {
				r = e
			}
			s[3] = r
		case r.v < s[2].v:
			s[3] = r
		default:
			if c := along(middle, s[3].at, 0.5); c.v < s[3].v {
				s[3] = c
				continue
			}
			for i := 1; i < 4; i++ {
				s[i] = along(s[0].at, s[i].at, 0.5)
			}
		}
	}
	best := s[0]
	for _, p := range s[1:] {
		if p.v < best.v {
			best = p
		}
	}
	return best.at
}

// belief is what the queue says about a crossing.
type belief struct {
	at, width float64 // logarithm of its rate, and the deviation; width 0: nothing is said
	slope     float64 // by how many % the share that is late because of the load grows there, for 1 % of rate
	base      float64 // share of the allowed late requests that is late without load
}

// believe is the crossing and its deviation: that of the fit, and that of pods from
// the model.
func (q *queue) believe(p params, limit, share float64) belief {
	b := belief{at: q.crossing(p, limit, share)}
	for _, a := range q.atoms {
		if a.at > limit {
			b.base += a.mass / share
		}
	}
	if b.base > mostBase {
		return belief{}
	}
	lower := q.crossing(p, limit, share*(b.base+(1-b.base)*math.Exp(-0.1)))
	b.slope = min(max(0.1/(b.at-lower), slopes[0]), slopes[len(slopes)-1])
	var slope params
	var curved [3][3]float64
	const h = 0.04
	move := func(i, j int, a, b float64) float64 {
		m := p
		m[i] += a
		m[j] += b
		return q.misfit(m)
	}
	here := q.misfit(p)
	for i := range 3 {
		up, down := p, p
		up[i] += h / 2
		down[i] -= h / 2
		slope[i] = (q.crossing(up, limit, share) - q.crossing(down, limit, share)) / h
		curved[i][i] = (move(i, i, h, 0) - 2*here + move(i, i, -h, 0)) / (h * h)
		for j := range i {
			c := (move(i, j, h, h) - move(i, j, h, -h) - move(i, j, -h, h) + move(i, j, -h, -h)) / (4 * h * h)
			curved[i][j], curved[j][i] = c, c
		}
	}
	v := variance(curved, slope)
	if math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
		return belief{}
	}
	off := q.surprise(p, limit) / (b.slope * (1 - b.base))
	b.width = math.Sqrt(v + modelWidth*modelWidth + off*off)
	return b
}

// mostBase is the base from which on so few of the late requests tell of the load that
// the queue says nothing.
const mostBase = 0.85

// modelWidth is how far off the model is beside chance.
const modelWidth = 0.03

// surprise is the logarithm of how many more requests took longer than a limit than the
// fit says, less what two bursts explain. Where services are so uneven, or the pod's
// speed, that the wait is not exponential the fit is of little use.
func (q *queue) surprise(p params, limit float64) float64 {
	seen, told := 0.0, 0.0
	at, out := []float64{limit}, make([]float64, 0, 1)
	for _, g := range q.groups {
		out = q.tails(p, g.rate, at, out)
		seen += g.took.above(limit)
		told += out[0] * float64(g.took.n)
	}
	if seen == 0 || told == 0 {
		return 0
	}
	return math.Max(math.Abs(math.Log(seen/told))-math.Sqrt(together/seen)/2, 0)
}

// variance is gᵀ·H⁻¹·g.
func variance(h [3][3]float64, g params) float64 {
	x := g
	for i := range 3 { // h·x = g, h is positive definite
		if h[i][i] <= 0 {
			return math.NaN()
		}
		for j := i + 1; j < 3; j++ {
			f := h[j][i] / h[i][i]
			for k := range 3 {
				h[j][k] -= f * h[i][k]
			}
			x[j] -= f * x[i]
		}
	}
	for i := 2; i >= 0; i-- {
		for k := i + 1; k < 3; k++ {
			x[i] -= h[i][k] * x[k]
		}
		x[i] /= h[i][i]
	}
	return g[0]*x[0] + g[1]*x[1] + g[2]*x[2]
}
