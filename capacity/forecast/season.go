package forecast

import (
	"math"
	"slices"
)

// parts are a series taken apart.
type parts struct {
	periods []int
	seasons [][]float64 // one for each period, by phase; their mean is 0
	trend   []float64   // of each step
	weights []float64   // 0: a gap, an event or an outlier; 1: an ordinary point
}

// season is the sum of all seasons at a step.
func (p parts) season(t int) float64 {
	sum := 0.0
	for i, period := range p.periods {
		sum += p.seasons[i][t%period]
	}
	return sum
}

// rounds of taking apart; the last ones know outliers.
const rounds = 3

// takeApart splits z into trend and seasons. Weight 0 leaves a point out. halfLife
// is the number of a season's own cycles after which a point counts half; 0: all
// count alike.
func takeApart(z, weights []float64, periods []int, how apart) parts {
	p := parts{periods: periods, trend: make([]float64, len(z)), weights: slices.Clone(weights)}
	for _, period := range periods {
		p.seasons = append(p.seasons, make([]float64, period))
	}
	rest := make([]float64, len(z))
	for round := range rounds {
		for t := range z {
			rest[t] = z[t] - p.season(t)
		}
		p.trend = line(rest, p.weights, longest(periods)/2+1)
		for i := range periods {
			halfLife := how.memory
			if i < len(periods)-1 {
				halfLife = how.short
			}
			p.fit(i, z, rest, halfLife)
		}
		if round > 0 {
			p.doubt(z, rest, weights)
		}
	}
	return p
}

// fit finds one season, given the trend and the others.
func (p parts) fit(i int, z, rest []float64, halfLife float64) {
	period, own := p.periods[i], p.seasons[i]
	decay := 1.0
	if halfLife > 0 {
		decay = math.Exp2(-1 / halfLife)
	}
	sum, mass, square := make([]float64, period), make([]float64, period), make([]float64, period)
	for t := range z {
		rest[t] = z[t] - p.trend[t] - p.season(t) + own[t%period]
	}
	w := 1.0
	for t := len(z) - 1; t >= 0; t-- {
		if (len(z)-1-t)%period == 0 && t < len(z)-1 {
			w *= decay
		}
		if v := w * p.weights[t]; v > 0 {
			k := t % period
			sum[k], mass[k], square[k] = sum[k]+v*rest[t], mass[k]+v, square[k]+v*v
		}
	}
	for k := range own {
		own[k] = 0
		if mass[k] > 0 {
			own[k] = sum[k] / mass[k]
		}
	}
	shift(own, -mean(own))
	p.shrink(own, rest, mass, square)
}

// shrink takes as much of a season away as noise alone would show: of a variance of
// means v, in which noise has a part n, 1 − n/v is season.
func (p parts) shrink(own, rest, mass, square []float64) {
	period := len(own)
	noise, total := 0.0, 0.0
	for t, r := range rest {
		d := r - own[t%period]
		noise, total = noise+p.weights[t]*d*d, total+p.weights[t]
	}
	if total == 0 {
		return
	}
	inMeans, n := 0.0, 0
	for k := range own {
		if mass[k] > 0 {
			inMeans, n = inMeans+square[k]/(mass[k]*mass[k]), n+1
		}
	}
	free := total - float64(n) // degrees of freedom
	if n == 0 || free <= 0 {
		return
	}
	inMeans *= noise / free / float64(n)
	variance := 0.0
	for _, v := range own {
		variance += v * v / float64(period)
	}
	if variance == 0 {
		return
	}
	keep := math.Max(0, 1-inMeans/variance)
	for k := range own {
		own[k] *= keep
	}
}

// doubt gives points far from trend and season less weight.
func (p parts) doubt(z, rest, weights []float64) {
	var sizes []float64
	for t := range z {
		rest[t] = z[t] - p.trend[t] - p.season(t)
		if weights[t] > 0 {
			sizes = append(sizes, math.Abs(rest[t]))
		}
	}
	bound := 6 * median(sizes)
	if bound == 0 {
		return
	}
	for t := range z {
		u := math.Min(1, math.Abs(rest[t])/bound)
		p.weights[t] = weights[t] * (1 - u*u) * (1 - u*u)
	}
}

// line is, for each point, the value there of the straight line through the points
// at most half steps away, by weighted least squares; by running sums, in time in
// proportion to the number of points.
func line(z, weights []float64, half int) []float64 {
	n := len(z)
	type sums struct{ w, t, tt, z, tz float64 }
	upTo := make([]sums, n+1)
	for t := range z {
		s, w, x := upTo[t], weights[t], float64(t)
		if w > 0 {
			s.w, s.t, s.tt, s.z, s.tz = s.w+w, s.t+w*x, s.tt+w*x*x, s.z+w*z[t], s.tz+w*x*z[t]
		}
		upTo[t+1] = s
	}
	out := make([]float64, n)
	for t := range z {
		for reach := half; ; reach *= 2 {
			a, b := upTo[max(0, t-reach)], upTo[min(n, t+reach+1)]
			w := b.w - a.w
			if w < 1e-9 && reach < n {
				continue // nothing but gaps: look further
			}
			if w < 1e-9 {
				break
			}
			mt, mz := (b.t-a.t)/w, (b.z-a.z)/w
			vt := (b.tt-a.tt)/w - mt*mt
			slope := 0.0
			if vt > 1 {
				slope = ((b.tz-a.tz)/w - mt*mz) / vt
			}
			out[t] = mz + slope*(float64(t)-mt)
			break
		}
	}
	return out
}

func shift(v []float64, by float64) {
	for i := range v {
		v[i] += by
	}
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(max(1, len(v)))
}

// median of v, which it sorts; 0 of nothing.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	const most = 256
	if by := len(v) / most; by > 1 {
		n := 0
		for i := by / 2; i < len(v); i += by {
			v[n], n = v[i], n+1
		}
		v = v[:n]
	}
	slices.Sort(v)
	return v[len(v)/2]
}
