package forecast

import (
	"cmp"
	"math"
	"slices"
)

// Accuracy is how wrong forecasts of this series were in the past.
type Accuracy struct {
	Origins int     `json:"origins"`     // moments of the past from which it forecast what came then
	Steps   int     `json:"steps"`       // that each looked ahead
	SMAPE   float64 `json:"smape"`       // mean of 2|a−f|/(a+f), 0 to 2; -1: unknown
	Naive   float64 `json:"naive_smape"` // of the value one season ago; -1: unknown
	// Nominal is what share of the values should have been in their interval, and
	// Coverage what share was; -1: nothing to judge by.
	Nominal  float64 `json:"nominal_coverage"`
	Coverage float64 `json:"coverage"`
}

// The mean is taken of so many candidates of a family at most, the best ones, whose
// errors are at most so many times those of the best of all: ways of another kind are
// wrong in another way, and the mean of many is less so than any.
const (
	best = 8
	near = 1.15
)

// most origins of a back-test.
const origins = 8

// trial is one origin of a back-test.
type trial struct {
	actual []float64   // NaN: not to be judged
	by     [][]float64 // what each candidate said; nil: it is out of the race
	errs   []float64   // sMAPE of each
	naive  float64     // sMAPE of the value one season ago
	said   []float64   // what the forecast said, chosen by earlier trials
}

// walk is a back-test, oldest origin first.
type walk struct {
	trials   []trial
	steps    int
	alive    []int // candidates that are still tried, the best first
	families []family
}

// race leaves the better half after the second trial and half of those after the
// fourth: what was far behind twice is not worth its time.
func (w *walk) race() {
	w.alive = w.ranked()
	if n := len(w.trials); n == 2 || n == 4 {
		w.alive = w.firstOf(func(all int) int { return max(best, (all+1)/2) })
	}
}

// firstOf are the first so many of each family in the race.
func (w *walk) firstOf(most func(all int) int) (first []int) {
	all, seen := map[family]int{}, map[family]int{}
	for _, i := range w.alive {
		all[w.families[i]]++
	}
	for _, i := range w.alive {
		f := w.families[i]
		if seen[f]++; seen[f] <= most(all[f]) {
			first = append(first, i)
		}
	}
	return first
}

// walkThrough repeats the past. It needs two longest seasons before the first
// origin; no trials when there is not enough.
func walkThrough(values []float64, out []bool, periods []int, steps int, all []candidate) walk {
	least := cycles*longest(periods) + 1
	steps = min(steps, max(1, (len(values)-least)/2))
	w := walk{steps: steps}
	for i, c := range all {
		w.alive, w.families = append(w.alive, i), append(w.families, c.family())
	}
	apartBy := max(1, min(steps, (len(values)-least-steps)/(origins-1)))
	if apartBy < (steps+1)/2 {
		apartBy = (steps + 1) / 2
	}
	var at []int
	for o := len(values) - steps; o >= least && len(at) < origins; o -= apartBy {
		at = append(at, o)
	}
	slices.Reverse(at)
	for _, origin := range at {
		w.try(values, out, periods, origin, all)
	}
	return w
}

func (w *walk) try(values []float64, out []bool, periods []int, origin int, all []candidate) {
	t := trial{actual: slices.Clone(values[origin : origin+w.steps])}
	for h := range t.actual {
		if out[origin+h] {
			t.actual[h] = math.NaN()
		}
	}
	t.by = predictions(values[:origin], out[:origin], periods, w.steps, all, w.alive)
	for _, f := range t.by {
		e := 0.0
		if f != nil {
			e = smape(t.actual, f)
		}
		t.errs = append(t.errs, e)
	}
	t.naive = smape(t.actual, naive(values[:origin], longest(periods), w.steps))
	t.said = average(t.by, w.chosen())
	w.trials = append(w.trials, t)
	w.race()
}

// predictions are those of some candidates; a way of taking apart is done once.
func predictions(values []float64, out []bool, periods []int, steps int, all []candidate, which []int) [][]float64 {
	fits, begins := map[apart]fit{}, map[bool]begun{}
	by := make([][]float64, len(all))
	for _, i := range which {
		c := all[i]
		switch c.family() {
		case smoothed:
			b, done := begins[c.smooth.logs]
			if !done {
				b = begin(values, out, periods, c.smooth.logs)
				begins[c.smooth.logs] = b
			}
			by[i] = c.smooth.follow(b, steps)
			continue
		case seasonalNaive:
			by[i] = naive(values, longest(periods), steps)
			continue
		}
		f, done := fits[c.apart]
		if !done {
			f = fitTo(values, out, periods, c.apart)
			fits[c.apart] = f
		}
		by[i] = f.predict(c, steps)
	}
	return by
}

// longest of some periods; 1 when there is none.
func longest(periods []int) int {
	if len(periods) == 0 {
		return 1
	}
	return periods[len(periods)-1]
}

// ranked are the candidates in the race by their error in all trials so far.
func (w *walk) ranked() []int {
	total := map[int]float64{}
	for _, i := range w.alive {
		total[i] = w.total(i)
	}
	order := slices.Clone(w.alive)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(total[a], total[b]) })
	return order
}

// chosen are the candidates whose mean is the forecast.
func (w *walk) chosen() []int {
	if len(w.trials) == 0 {
		return w.alive[:1]
	}
	most := near * w.total(w.alive[0])
	return slices.DeleteFunc(w.firstOf(func(int) int { return best }), func(i int) bool { return w.total(i) > most })
}

// total is a candidate's error in all trials so far.
func (w *walk) total(i int) (sum float64) {
	for _, t := range w.trials {
		sum += t.errs[i]
	}
	return sum
}

// average is the mean of some forecasts.
func average(by [][]float64, which []int) []float64 {
	out := make([]float64, len(by[which[0]]))
	for _, i := range which {
		for h, v := range by[i] {
			out[h] += v / float64(len(which))
		}
	}
	return out
}

// accuracy sums up a walk.
func (w walk) accuracy() Accuracy {
	a := Accuracy{Origins: len(w.trials), Steps: w.steps, Nominal: nominal, Coverage: -1}
	if len(w.trials) == 0 {
		a.Steps, a.SMAPE, a.Naive = 0, -1, -1
	}
	for _, t := range w.trials {
		a.SMAPE += smape(t.actual, t.said) / float64(len(w.trials))
		a.Naive += t.naive / float64(len(w.trials))
	}
	inside, judged := 0, 0
	for i := 1; i < len(w.trials); i++ {
		s := walk{trials: w.trials[:i], steps: w.steps}.spread()
		for h, v := range w.trials[i].actual {
			if math.IsNaN(v) {
				continue
			}
			low, high := s.interval(w.trials[i].said[h], h, nominal)
			judged++
			if low <= v && v <= high {
				inside++
			}
		}
	}
	if judged > 0 {
		a.Coverage = float64(inside) / float64(judged)
	}
	return a
}

// smape is the symmetric mean absolute percentage error, 0 to 2, over what is known.
func smape(actual, forecast []float64) float64 {
	sum, n := 0.0, 0
	for h, a := range actual {
		if math.IsNaN(a) {
			continue
		}
		n++
		if d := math.Abs(a) + math.Abs(forecast[h]); d > 0 {
			sum += 2 * math.Abs(a-forecast[h]) / d
		}
	}
	return sum / float64(max(1, n))
}
