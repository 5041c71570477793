package predict

import (
	"cmp"
	"math"
	"slices"
)

// idle is the probability of waiting below which more places make no difference.
const idle = 1e-4

// How far what a call holds its place for may be from the time that it takes, as the
// deviation of its logarithm: time passes elsewhere, or a place is cleaned up behind a
// call.
const heldSpread = 0.08

// finalists is how many models, of those that look likeliest at first, are looked at
// more closely.
const finalists = 6

// way is a model without its free parameter.
type way struct {
	model
	prior float64 // logarithm
}

// ways are all ways in which a pod may work that had these bins. Any number of places
// is as likely as any other of the same order.
func ways(base Sample, highest float64, dealers int) (out []way) {
	all := []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 512}
	mean := lawOf(base.Quantiles).mean()
	for i, c := range all {
		last := i == len(all)-1 || erlang(c, 2*highest*mean) < idle
		share := math.Log(float64(all[min(i+1, len(all)-1)])/float64(all[max(i-1, 0)])) / 2
		for _, k := range []kind{waits, shares} {
			m := model{kind: k, places: c, held: 1, dealers: dealers}
			m.service = m.without(base)
			prior := math.Log(share)
			if k == shares {
				prior -= 3 // pods that keep calls waiting are the rule
			}
			out = append(out, way{m, prior})
		}
		if last {
			break
		}
	}
	return out
}

// models are those that agree with the bins, their weights adding up to 1.
func models(bins []Sample, dealers int) []model {
	base, highest := bins[0], bins[len(bins)-1].Rate
	build := func(w way, logHeld float64) model {
		m := w.model
		m.held = math.Exp(logHeld)
		return m
	}
	score := func(w way, logHeld float64) float64 {
		m := build(w, logHeld)
		if highest >= overload*m.capacity() {
			return math.Inf(-1)
		}
		s := w.prior - 0.5*(logHeld/heldSpread)*(logHeld/heldSpread)
		for _, b := range bins {
			s -= m.misfit(b) / 2
		}
		return s
	}
	type candidate struct {
		way
		held, score float64
	}
	var all []candidate
	for _, w := range ways(base, highest, dealers) {
		best := candidate{w, 0, math.Inf(-1)}
		for _, x := range []float64{-0.12, 0, 0.12} {
			if s := score(w, x); s > best.score {
				best.held, best.score = x, s
			}
		}
		if !math.IsInf(best.score, -1) {
			all = append(all, best)
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	var out []model
	for _, c := range all[:min(finalists, len(all))] {
		for _, p := range profile(func(x float64) float64 { return score(c.way, x) }, c.held) {
			m := build(c.way, p.x)
			m.weight = p.score
			out = append(out, m)
		}
	}
	return normal(out)
}

// peak is where a function with one summit is highest, by golden sections of a range.
func peak(f func(float64) float64, low, high float64, steps int) (x, y float64) {
	const golden = 0.618
	a, b := high-golden*(high-low), low+golden*(high-low)
	fa, fb := f(a), f(b)
	for range steps {
		if fa > fb || math.IsInf(fb, -1) && math.IsInf(fa, -1) {
			high, b, fb = b, a, fa
			a = high - golden*(high-low)
			fa = f(a)
		} else {
			low, a, fa = a, b, fb
			b = low + golden*(high-low)
			fb = f(b)
		}
	}
	if fa > fb {
		return a, fa
	}
	return b, fb
}

// point is a value of the free parameter and the logarithm of its likelihood, spacing
// included.
type point struct{ x, score float64 }

// profile looks around the best value, which lies near guess.
func profile(f func(float64) float64, guess float64) (out []point) {
	best, top := peak(f, guess-0.12, guess+0.12, 7)
	if math.IsInf(top, -1) {
		return nil
	}
	const step = 0.015
	for i := -3; i <= 3; i++ {
		x := best + float64(i)*step
		if s := f(x); s > top-8 {
			out = append(out, point{x, s})
		}
	}
	return out
}

// normal turns logarithms into weights that add up to 1, and drops what counts
// nothing.
func normal(all []model) []model {
	best, sum := math.Inf(-1), 0.0
	for _, m := range all {
		best = max(best, m.weight)
	}
	for i := range all {
		all[i].weight = math.Exp(all[i].weight - best)
		sum += all[i].weight
	}
	kept := slices.DeleteFunc(all, func(m model) bool { return m.weight < 1e-3*sum })
	for i := range kept {
		kept[i].weight /= sum
	}
	return kept
}

// Of the steps by which load is taken out of a law, so many by formulas, which are
// quick, and then by simulations, which are right.
const (
	quickSteps = 10
	rightSteps = 4
)

// without takes from what callers saw at the lowest rate what load added to it.
func (m model) without(base Sample) law {
	levels := Levels()
	quantiles := slices.Clone(base.Quantiles)
	m.service = lawOf(quantiles)
	for step := range quickSteps + rightSteps {
		l, ok := m.at(base.Rate, base.Pods)
		quantile := l.quantile
		if ok && step >= quickSteps {
			if l.waiting < idle {
				break
			}
			took := m.simulate(base.Rate, base.Pods, 2*simulated)
			slices.Sort(took)
			quantile = func(p float64) float64 { return quantileOf(took, p) }
		}
		for i, p := range levels {
			if !ok { // as the law seems to be too slow still
				quantiles[i] *= 0.9
				continue
			}
			off := quantile(p) - base.Quantiles[i]
			quantiles[i] = min(base.Quantiles[i], max(quantiles[i]-0.7*off, quantiles[i]/2))
		}
		slices.Sort(quantiles)
		m.service = lawOf(quantiles)
	}
	return m.service
}
