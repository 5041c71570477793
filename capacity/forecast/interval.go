package forecast

import (
	"math"
	"slices"
)

// nominal is the coverage of the intervals that a back-test judges.
const nominal = 0.9

// parts of the horizon that have errors of their own: the further, the wronger.
const stretches = 4

// spread is how far values were from their forecasts, as differences of logarithms.
type spread struct {
	sorted [stretches][]float64
	steps  int
	widen  float64 // what quantiles are multiplied by
	add    float64 // before the logarithm, so that 0 has one
}

func (w walk) spread() spread {
	s := spread{steps: w.steps, widen: widening(len(w.trials))}
	sum, n := 0.0, 0
	for _, t := range w.trials {
		for _, f := range t.said {
			sum, n = sum+f, n+1
		}
	}
	s.add = 0.01 * sum / float64(max(1, n))
	if s.add == 0 {
		s.add = 1
	}
	for _, t := range w.trials {
		for h, a := range t.actual {
			if !math.IsNaN(a) {
				k := s.stretch(h)
				s.sorted[k] = append(s.sorted[k], math.Log((a+s.add)/(t.said[h]+s.add)))
			}
		}
	}
	for _, v := range s.sorted {
		slices.Sort(v)
	}
	return s
}

func (s spread) stretch(h int) int { return min(stretches-1, h*stretches/max(1, s.steps)) }

// interval holds the value h steps ahead with the given probability.
func (s spread) interval(f float64, h int, level float64) (low, high float64) {
	v := s.sorted[s.stretch(h)]
	at := func(q float64) float64 { return math.Max(0, (f+s.add)*math.Exp(s.widen*quantile(v, q))-s.add) }
	return at((1 - level) / 2), at((1 + level) / 2)
}

// widening is for errors of one trial being alike: n trials tell as much as n errors
// do, not as n times the steps. It is Student's quantile against the normal one, of
// both sides of a 90 % interval.
func widening(n int) float64 {
	if n < 2 {
		return 2
	}
	free := float64(n)
	return studentT(0.95, free-1) / 1.645 * math.Sqrt(1+1/free)
}

// quantile of sorted values, moved outwards as for one more value of unknown size.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	i := q*float64(len(v)+1) - 1
	low := min(max(0, int(math.Floor(i))), len(v)-1)
	high := min(low+1, len(v)-1)
	return v[low] + (v[high]-v[low])*math.Min(1, math.Max(0, i-float64(low)))
}

// peakErrors are log(peak ÷ forecast peak) of each trial.
func (w walk) peakErrors() (all []float64) {
	for _, t := range w.trials {
		was, said := 0.0, 0.0
		for h, a := range t.actual {
			if !math.IsNaN(a) {
				was, said = math.Max(was, a), math.Max(said, t.said[h])
			}
		}
		if was > 0 && said > 0 {
			all = append(all, math.Log(was/said))
		}
	}
	return all
}

// fewest peaks of the past that tell how wrong the next one will be; with less, assumed
// is the standard deviation of its logarithm.
const (
	fewest  = 3
	assumed = 0.25
)

// margin is what the logarithm of a forecast peak has to be raised by, so that the
// next peak is above it with probability risk alone: the upper end of a prediction
// interval of Student's t. It is 0 or above, and falls as risk rises.
func margin(errs []float64, risk float64) float64 {
	n := float64(len(errs))
	if n < fewest {
		return assumed * math.Sqrt2 * math.Erfinv(1-2*risk)
	}
	m, ss := mean(errs), 0.0
	for _, e := range errs {
		ss += (e - m) * (e - m)
	}
	return math.Max(0, m+studentT(1-risk, n-1)*math.Sqrt(ss/(n-1)*(1+1/n)))
}

// studentT is the quantile of Student's t distribution, p in [0.5,1): Hill's
// expansion (Algorithm 396, CACM 1970), at most 0.1 % off for 3 degrees of freedom
// and more, and exact formulas below.
func studentT(p, free float64) float64 {
	tail := 2 * (1 - p) // of both sides
	switch {
	case tail >= 1:
		return 0
	case free < 1.5:
		return 1 / math.Tan(tail*math.Pi/2)
	case free < 2.5:
		return math.Sqrt(2/(tail*(2-tail)) - 2)
	}
	a := 1 / (free - 0.5)
	b := 48 / (a * a)
	c := ((20700*a/b-98)*a-16)*a + 96.36
	d := ((94.5/(b+c)-3)/b + 1) * math.Sqrt(a*math.Pi/2) * free
	y := math.Pow(d*tail, 2/free)
	if y > 0.05+a {
		x := -math.Sqrt2 * math.Erfinv(1-tail)
		y = x * x
		if free < 5 {
			c += 0.3 * (free - 4.5) * (x + 0.6)
		}
		c = (((0.05*d*x-5)*x-7)*x-2)*x + b + c
		y = (((((0.4*y+6.3)*y+36)*y+94.5)/c-y-3)/b + 1) * x
		y = a * y * y
		if y > 0.002 {
			y = math.Exp(y) - 1
		} else {
			y += 0.5 * y * y
		}
	} else {
		y = ((1/(((free+6)/(free*y)-0.089*d-0.822)*(free+2)*3)+0.5/(free+4))*y-1)*(free+1)/(free+2) + 1/y
	}
	return math.Sqrt(free * y)
}
