package predict

import "math"

// kind is what happens to a call that finds a pod busy.
type kind int

const (
	waits  kind = iota // in line for one of c places
	shares             // the CPU of c cores
)

// model is one way in which a pod may work.
type model struct {
	kind    kind
	places  int     // c
	held    float64 // part of the time of a call for which it holds its place
	dealers int     // that deal calls out to pods in turn, each for itself; 0: so many that they come by chance
	service law     // S

	chances *chances // of all models of a curve
	weight  float64  // how well it agrees with what was seen; all models' add up to 1
}

// overload is the load from which on a queue only grows.
const overload = 0.99

// capacity is κ, the rate at which a pod saturates, requests a second.
func (m model) capacity() float64 { return float64(m.places) / (m.held * m.service.mean()) }

// load is a model at a rate, by formulas.
type load struct {
	model
	waiting float64 // P(W > 0)
	mean    float64 // of W when there is any, seconds
	stretch float64 // g
}

// at is the model at a rate; false when the pod cannot do it.
func (m model) at(rate, pods float64) (load, bool) {
	l := load{model: m, stretch: 1}
	rho := rate / m.capacity()
	if rho >= overload {
		return l, false
	}
	ca2 := 1.0
	if m.dealers > 0 && pods > 1 {
		// One dealer makes arrivals at a pod regular; many do so in the long run alone.
		ca2 = 1/pods + (1-1/pods)*(1-1/float64(m.dealers))
	}
	c := erlang(m.places, float64(m.places)*rho)
	if m.kind == shares {
		l.stretch = 1 + c/(float64(m.places)*(1-rho))
		return l, true
	}
	l.waiting = c * regular(rho, ca2)
	l.mean = (ca2 + m.service.cv2()) / 2 / (m.capacity() * (1 - rho))
	return l, true
}

// above is P(T > t).
func (l load) above(t float64) (p float64) {
	for i, s := range l.service.at {
		s *= l.stretch
		switch {
		case s >= t:
			p += l.service.mass[i]
		case l.waiting > 0:
			p += l.service.mass[i] * l.waiting * math.Exp(-(t-s)/l.mean)
		}
	}
	return p
}

// quantile is the time that a share of p of all calls stays below.
func (l load) quantile(p float64) float64 {
	low, high := 0.0, l.service.at[len(l.service.at)-1]*l.stretch
	for l.above(high) > 1-p {
		low, high = high, 2*high
	}
	for range 26 {
		if middle := (low + high) / 2; l.above(middle) > 1-p {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// exact tells whether formulas say it all: calls do not wait in line, or nothing waits.
func (l load) exact() bool { return l.kind == shares || l.waiting < 1e-4 }

// p99 is what callers see at a rate, seconds; without end where the pod cannot do it.
func (m model) p99(rate, pods float64) float64 {
	l, ok := m.at(rate, pods)
	switch {
	case !ok:
		return math.Inf(1)
	case l.exact():
		return l.quantile(0.99)
	}
	return m.quantiles(rate, pods, 4*simulated, 0.99)[0]
}

// judged are the quantiles by which models are compared with what was seen: the tail,
// where waiting shows, and the median, which a stretch of all calls moves.
func judged() []float64 { return []float64{0.5, 0.8, 0.95, 0.99} }

// What is allowed for beside chance: calls of a stretch wait together, so that a
// stretch says less than its number of calls, and no model is the truth.
const (
	clustering = 2.0   // calls for each independent one
	modelError = 0.015 // of a quantile
)

// gap is how far a quantile of a model is from the one that was seen, as a logarithm,
// and the variance that chance gives it.
type gap struct{ off, variance float64 }

// gaps are those of a bin at judged; false when the pod cannot do its rate.
func (m model) gaps(bin Sample) ([]gap, bool) {
	l, ok := m.at(bin.Rate, bin.Pods)
	if !ok {
		return nil, false
	}
	calls, all := bin.Calls, []float64(nil)
	if l.exact() {
		for _, p := range judged() {
			all = append(all, l.quantile(p))
		}
	} else {
		all = m.quantiles(bin.Rate, bin.Pods, simulated, judged()...)
		calls = 1 / (1/bin.Calls + 1.0/simulated) // both are off by chance
	}
	out := make([]gap, len(all))
	for i, p := range judged() {
		seen := interpolate(Levels(), bin.Quantiles, p)
		// A quantile of n calls is off by √(p(1-p)/n) in p, and by the slope there in time.
		h := (1 - p) / 2
		slope := math.Log(interpolate(Levels(), bin.Quantiles, p+h)/interpolate(Levels(), bin.Quantiles, p-h)) / (2 * h)
		chance := slope * math.Sqrt(clustering*p*(1-p)/calls)
		out[i] = gap{math.Log(all[i] / seen), chance*chance + modelError*modelError}
	}
	return out, true
}

// fitness adds up gaps bin by bin. The law of a model comes from one bin, and is off by
// that bin's chance: what all bins are off by alike is that, and no fault of the model.
type fitness struct {
	weights, offs, squares []float64 // by quantile: sums of 1/variance, off/variance, off²/variance
}

func (f *fitness) add(all []gap) {
	if f.weights == nil {
		n := len(all)
		f.weights, f.offs, f.squares = make([]float64, n), make([]float64, n), make([]float64, n)
	}
	for i, g := range all {
		f.weights[i] += 1 / g.variance
		f.offs[i] += g.off / g.variance
		f.squares[i] += g.off * g.off / g.variance
	}
}

// misfit is minus twice the logarithm of the likelihood of what bins showed. It never
// falls with a bin more.
func (f *fitness) misfit() (sum float64) {
	for i, w := range f.weights {
		sum += f.squares[i] - f.offs[i]*f.offs[i]/w
	}
	return sum / 2 // neighbouring quantiles of one stretch are half the same news
}

// off is what all bins are off by alike, as a logarithm, at judged.
func (f *fitness) off() (all []float64) {
	for i, w := range f.weights {
		all = append(all, f.offs[i]/w)
	}
	return all
}
