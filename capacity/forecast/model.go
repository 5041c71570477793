package forecast

import (
	"math"
)

// candidate is one way to go on from a series. The zero value is the seasonal naive
// forecast.
type candidate struct {
	smooth smoothing // or, when that is none:
	apart
	level float64 // half-life of the level, in longest seasons
	slope float64 // what is left of the slope after a longest season
}

// apart is what taking apart depends on.
type apart struct {
	logs   bool    // of the rates
	memory float64 // half-life of seasons, in cycles; 0: all count alike
	short  float64 // the same of the shortest of several
	model  bool    // false: seasonal naive
}

// candidates are all that are tried, the one to begin with first.
func candidates() []candidate {
	const a, day, hours = 1, 1.0 / 7, 1.0 / 56 // half-lives of a level: a week, a day, three hours
	all := []candidate{{apart: apart{true, 8, 8, true}, level: day, slope: 0.5}}
	for _, logs := range []bool{true, false} {
		for _, memory := range [][2]float64{{2, 2}, {8, 8}, {0, 0}, {8, 1}} {
			for _, level := range []float64{a, day, hours} {
				for _, slope := range []float64{0, 0.5, 1} {
					c := candidate{apart: apart{logs, memory[0], memory[1], true}, level: level, slope: slope}
					if c != all[0] {
						all = append(all, c)
					}
				}
			}
		}
	}
	all = append(all, smoothings()...)
	return append(all, candidate{})
}

// family is of candidates that are alike.
type family int

const (
	seasonalNaive family = iota
	smoothed
	takenApart
)

func (c candidate) family() family {
	switch {
	case c.smooth != smoothing{}:
		return smoothed
	case c.model:
		return takenApart
	}
	return seasonalNaive
}

// scale turns rates into what is taken apart, and back.
type scale struct {
	logs bool
	add  float64 // before the logarithm, so that 0 has one
}

// scaleOf adds nothing where no rate is near 0.
func scaleOf(values []float64, logs bool) scale {
	sum, n, least := 0.0, 0, math.Inf(1)
	for _, v := range values {
		if !math.IsNaN(v) {
			sum, n, least = sum+v, n+1, math.Min(least, v)
		}
	}
	s := scale{logs: logs}
	if m := sum / float64(max(1, n)); logs && least < 0.01*m {
		s.add = 0.05 * m
	}
	if s.logs && sum == 0 {
		s.add = 1
	}
	return s
}

func (s scale) to(v float64) float64 {
	if s.logs {
		return math.Log(v + s.add)
	}
	return v
}

func (s scale) from(z float64) float64 {
	if s.logs {
		z = math.Exp(math.Min(z, 300)) - s.add
	}
	return math.Max(0, z)
}

// fit is a series taken apart in one way.
type fit struct {
	parts
	scale
	z    []float64
	flat []float64 // z without seasons
}

// fitTo takes a series apart; out marks steps that do not count.
func fitTo(values []float64, out []bool, periods []int, how apart) fit {
	return fitIn(scaleOf(values, how.logs), values, out, periods, how)
}

func fitIn(s scale, values []float64, out []bool, periods []int, how apart) fit {
	f := fit{scale: s, z: make([]float64, len(values)), flat: make([]float64, len(values))}
	weights := make([]float64, len(values))
	for t, v := range values {
		if !math.IsNaN(v) {
			f.z[t] = f.to(v)
			if !out[t] {
				weights[t] = 1
			}
		}
	}
	f.parts = takeApart(f.z, weights, periods, how)
	for t := range f.z {
		f.flat[t] = f.z[t] - f.season(t)
	}
	f.believe(weights)
	return f
}

// believe gives those outliers their weight back that came in a row of half a
// shortest season: that is a change, not an accident.
func (f fit) believe(weights []float64) {
	if len(f.periods) == 0 {
		return
	}
	enough := enough(f.periods)
	for t := 0; t < len(f.weights); t++ {
		end := t
		for end < len(f.weights) && (weights[end] == 0 || f.weights[end] < 0.5) {
			end++
		}
		if end-t >= enough {
			copy(f.weights[t:end], weights[t:end])
		}
		t = end
	}
}

// enough is how many steps in a row are a change.
func enough(periods []int) int { return max(3, periods[0]/2) }

// within is what the fit says of a step of its own series, without events.
func (f fit) within(t int) float64 { return f.from(f.trend[t] + f.season(t)) }

// predict goes on for some steps.
func (f fit) predict(c candidate, steps int) []float64 {
	longest := float64(longest(f.periods))
	slope := 0.0
	if c.slope > 0 {
		_, slope = f.end(2 * longest)
	}
	level := f.levelAt(c.level*longest, slope)
	keep := math.Pow(c.slope, 1/longest)
	out := make([]float64, steps)
	risen, step := 0.0, 1.0
	for h := range out {
		step *= keep
		risen += slope * step
		out[h] = f.from(level + risen + f.season(len(f.z)+h))
	}
	return out
}

// levelAt is the level at the end of the series, given its slope; points count half
// after so many steps.
func (f fit) levelAt(halfLife, slope float64) float64 {
	decay := math.Exp2(-1 / math.Max(halfLife, 0.1))
	sum, mass, w := 0.0, 0.0, 1.0
	for t := len(f.flat) - 1; t >= 0 && (w > 1e-6 || mass == 0); t-- {
		if v := w * f.weights[t]; v > 0 {
			sum, mass = sum+v*(f.flat[t]+slope*float64(len(f.flat)-1-t)), mass+v
		}
		if w > 1e-9 {
			w *= decay
		}
	}
	if mass == 0 {
		return 0
	}
	return sum / mass
}

// end is value and slope, at the end, of the line through the deseasonalised points,
// which count half after so many steps.
func (f fit) end(halfLife float64) (value, slope float64) {
	decay := math.Exp2(-1 / halfLife)
	var sw, st, stt, sz, stz float64
	w := 1.0
	for t := len(f.flat) - 1; t >= 0 && w > 1e-6; t-- {
		v, x := w*f.weights[t], float64(t-len(f.flat)+1)
		sw, st, stt, sz, stz = sw+v, st+v*x, stt+v*x*x, sz+v*f.flat[t], stz+v*x*f.flat[t]
		w *= decay
	}
	if sw == 0 {
		return 0, 0
	}
	mt, mz := st/sw, sz/sw
	if vt := stt/sw - mt*mt; vt > 1 {
		slope = (stz/sw - mt*mz) / vt
	}
	return mz - slope*mt, slope
}

// naive repeats the last season; a gap there is that of the season before.
func naive(values []float64, period, steps int) []float64 {
	out := make([]float64, steps)
	for h := range out {
		t := len(values) - period + h%period
		for t >= 0 && math.IsNaN(values[t]) {
			t -= period
		}
		if t >= 0 {
			out[h] = values[t]
		}
	}
	return out
}
