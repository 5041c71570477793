package predict

import (
	"cmp"
	"fmt"
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

// places are the numbers of calls at a time that are tried.
var places = []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 512}

// way is a model without its free parameter.
type way struct {
	model
	prior    float64 // logarithm
	declared bool    // by somebody who knows how many places there are
}

// candidate is a way with the likeliest value of its free parameter.
type candidate struct {
	way
	held, score float64
}

// ways are all ways in which a pod may work that had these bins. Any number of places
// is as likely as any other of the same order.
func ways(base Sample, highest float64, dealers int) (out []way) {
	all := places
	mean, drawn := lawOf(base.Quantiles).mean(), &chances{}
	for i, c := range all {
		last := i == len(all)-1 || erlang(c, 2*highest*mean) < idle
		share := math.Log(float64(all[min(i+1, len(all)-1)])/float64(all[max(i-1, 0)])) / 2
		for _, k := range []kind{waits, shares} {
			m := model{kind: k, places: c, held: 1, dealers: dealers, chances: drawn}
			m.service = m.without(base)
			prior := math.Log(share)
			if k == shares {
				prior -= 3 // pods that keep calls waiting are the rule
			}
			out = append(out, way{m, prior, false})
		}
		if last {
			break
		}
	}
	return out
}

// likeliest says how pods seem to work.
func likeliest(found []candidate) string {
	switch {
	case len(found) == 0:
		return "no other number"
	case found[0].kind == shares:
		return fmt.Sprintf("%d cores that calls share", found[0].places)
	}
	return fmt.Sprint(found[0].places)
}

// known is the way of a pod of which somebody knows how many calls it works on.
func known(base Sample, dealers, workers int) way {
	m := model{kind: waits, places: workers, held: 1, dealers: dealers, chances: &chances{}}
	m.service = m.without(base)
	return way{m, 0, true}
}

// contradicts is by how much, as a logarithm, another way has to be likelier than what
// is declared for that to be wrong.
const contradicts = 10

// models are those that agree with the bins, their weights adding up to 1.
// It fails when workers are known, and calls do not wait as they would for so many.
func models(bins []Sample, dealers, workers int) ([]model, error) {
	base, highest := bins[0], bins[len(bins)-1].Rate
	build := func(w way, logHeld float64) model {
		m := w.model
		m.held = math.Exp(logHeld)
		return m
	}
	// score is -∞ where it is below least, as soon as that is sure.
	score := func(w way, logHeld, least float64) scored {
		m := build(w, logHeld)
		if highest >= overload*m.capacity() {
			return scored{math.Inf(-1), nil}
		}
		s := w.prior - 0.5*(logHeld/heldSpread)*(logHeld/heldSpread)
		var fit fitness
		for i := len(bins) - 1; i >= 0; i-- { // where load is high models differ most
			all, ok := m.gaps(bins[i])
			if !ok {
				return scored{math.Inf(-1), nil}
			}
			if fit.add(all); s-fit.misfit()/2 < least {
				return scored{math.Inf(-1), nil}
			}
		}
		return scored{s - fit.misfit()/2, fit.off()}
	}
	all := ways(base, highest, dealers)
	if workers > 0 {
		all = append(all, known(base, dealers, workers))
	}
	var found []candidate
	last := make([]float64, finalists) // scores of the best ones, the lowest first
	for i := range last {
		last[i] = math.Inf(-1)
	}
	for _, w := range all {
		least := last[0]
		if w.declared { // is compared with the best one, however bad
			least = math.Inf(-1)
		}
		best := candidate{w, 0, math.Inf(-1)}
		for _, x := range []float64{-0.12, 0, 0.12} {
			if s := score(w, x, max(best.score, least)); s.score > best.score {
				best.held, best.score = x, s.score
			}
		}
		if math.IsInf(best.score, -1) {
			continue
		}
		found = append(found, best)
		if best.score > last[0] {
			last[0] = best.score
			slices.Sort(last)
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	if workers > 0 {
		declared := slices.IndexFunc(found, func(c candidate) bool { return c.declared })
		if declared < 0 || found[0].score > found[declared].score+contradicts {
			return nil, fmt.Errorf("%w: %d, but calls take time as with %s", ErrWorkers, workers, likeliest(found))
		}
		found = found[declared : declared+1]
	}
	var out []model
	for _, c := range found[:min(finalists, len(found))] {
		for _, p := range profile(func(x, least float64) scored { return score(c.way, x, least) }, c.held) {
			m := build(c.way, p.x)
			m.weight, m.service = p.score, m.service.corrected(p.off)
			out = append(out, m)
		}
	}
	return normal(out), nil
}

// scored is the logarithm of a model's likelihood, and what it is off by in all bins.
type scored struct {
	score float64
	off   []float64 // at judged
}

// scorer is a function that need not be right below least: there it may be -∞.
type scorer func(x, least float64) scored

// peak is where a function with one summit is highest, by golden sections of a range.
// Of two values only the higher one is used again.
func peak(f scorer, low, high float64, steps int) (x float64, y scored) {
	const golden = 0.618
	a, b := high-golden*(high-low), low+golden*(high-low)
	fa := f(a, math.Inf(-1))
	fb := f(b, fa.score)
	for range steps {
		if fa.score > fb.score || math.IsInf(fb.score, -1) {
			high, b, fb = b, a, fa
			a = high - golden*(high-low)
			fa = f(a, fb.score)
		} else {
			low, a, fa = a, b, fb
			b = low + golden*(high-low)
			fb = f(b, fa.score)
		}
	}
	if fa.score > fb.score {
		return a, fa
	}
	return b, fb
}

// point is a value of the free parameter and what it leads to, spacing included.
type point struct {
	x float64
	scored
}

// profile looks around the best value, which lies near guess.
func profile(f scorer, guess float64) (out []point) {
	best, top := peak(f, guess-0.12, guess+0.12, 7)
	if math.IsInf(top.score, -1) {
		return nil
	}
	const step = 0.015
	for i := -3; i <= 3; i++ {
		x, s := best+float64(i)*step, top
		if i != 0 {
			s = f(x, top.score-8)
		}
		if s.score > top.score-8 {
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
		var right []float64
		if ok && step >= quickSteps {
			if l.waiting < idle {
				break
			}
			right = m.quantiles(base.Rate, base.Pods, 2*simulated, levels...)
		}
		for i, p := range levels {
			if !ok { // as the law seems to be too slow still
				quantiles[i] *= 0.9
				continue
			}
			is := 0.0
			if right != nil {
				is = right[i]
			} else {
				is = l.quantile(p)
			}
			off := is - base.Quantiles[i]
			quantiles[i] = min(base.Quantiles[i], max(quantiles[i]-0.7*off, quantiles[i]/2))
		}
		slices.Sort(quantiles)
		m.service = lawOf(quantiles)
	}
	return m.service
}
