package forecast

import (
	"math"
	"slices"
)

// smoothing follows a series step by step: exponential smoothing for several seasons,
// with an error that goes on and fades (Taylor 2003). The zero value is none.
type smoothing struct {
	logs  bool
	level float64 // part of an error that the level takes over a shortest season
	short float64 // that the shorter of several seasons take, each cycle
	long  float64 // that the longest takes
	fades float64 // what is left of the last error after a shortest season
}

// smoothings are all that are tried.
func smoothings() (all []candidate) {
	for _, logs := range []bool{true, false} {
		for _, level := range []float64{0.05, 0.3, 0.9} {
			for _, seasons := range [][2]float64{{0.05, 0.1}, {0.1, 0.3}, {0.3, 0.1}, {0.05, 0.3}} {
				for _, fades := range []float64{0, 0.3, 0.7} {
					all = append(all, candidate{smooth: smoothing{logs, level, seasons[0], seasons[1], fades}})
				}
			}
		}
	}
	return all
}

// begun is what a smoothing begins with: its first cycles, taken apart.
type begun struct {
	fit
	at   int       // first step that is followed
	z    []float64 // of the whole series; NaN: a gap or an event
	size float64   // of an error, the mean
}

func begin(values []float64, out []bool, periods []int, logs bool) begun {
	at := min(cycles*longest(periods), len(values))
	b := begun{fit: fitIn(scaleOf(values, logs), values[:at], out[:at], periods, apart{logs: logs, model: true}), at: at}
	for t, v := range values {
		if out[t] {
			v = math.NaN()
		}
		b.z = append(b.z, b.to(v))
	}
	for t := range at {
		b.size += math.Abs(b.fit.z[t]-b.trend[t]-b.season(t)) * b.weights[t] / float64(at)
	}
	return b
}

// state is how far a smoothing has come.
type state struct {
	b       begun
	level   float64
	seasons [][]float64
	phase   []int
	off     float64 // the last error, faded
	size    float64 // of what was not to be expected of errors, the mean
	usual   float64 // size of errors, the mean
	run     int     // of errors too large to be accidents, on one side
	sum     float64 // of those
}

// Errors are cut at so many times their mean size, which forgets so much each step.
const (
	furthestOff = 4
	forgets     = 0.02
)

// follow goes through a series from where it begins, and on for some steps.
func (c smoothing) follow(b begun, steps int) []float64 {
	s := state{b: b, level: b.trend[b.at-1], size: b.size, usual: b.size}
	shortest := 1.0
	for i, p := range b.periods {
		s.seasons, s.phase = append(s.seasons, slices.Clone(b.seasons[i])), append(s.phase, b.at%p)
		shortest = float64(b.periods[0])
	}
	fades, level := math.Pow(c.fades, 1/shortest), 1-math.Pow(1-c.level, 1/shortest)
	for _, z := range b.z[b.at:] {
		s.off *= fades
		if !math.IsNaN(z) {
			s.learn(c, z, level)
		}
		s.step()
	}
	ahead := make([]float64, steps)
	for h := range ahead {
		s.off *= fades
		ahead[h] = b.from(s.said() + s.off)
		s.step()
	}
	return ahead
}

// said is level and seasons of the step.
func (s *state) said() float64 {
	v := s.level
	for i, p := range s.phase {
		v += s.seasons[i][p]
	}
	return v
}

// moved says by how much the level was moved by a row of errors of a shortest
// season: that is a change, not an accident.
func (s *state) moved(e float64) float64 {
	far := math.Abs(e) > furthestOff*s.usual
	s.usual += forgets * (math.Min(math.Abs(e), 2*s.usual) - s.usual)
	if !far || e*s.sum < 0 {
		s.run, s.sum = 0, 0
	}
	if !far {
		return 0
	}
	s.run, s.sum = s.run+1, s.sum+e
	if len(s.phase) == 0 || s.run < s.b.periods[0] {
		return 0
	}
	by := s.sum / float64(s.run)
	s.run, s.sum = 0, 0
	return by
}

// learn takes in a value. What was not to be expected is cut.
func (s *state) learn(c smoothing, z, level float64) {
	e := z - s.said()
	if by := s.moved(e); by != 0 {
		s.level, s.off, e = s.level+by, 0, e-by
	}
	news := e - s.off
	if most := furthestOff * s.size; math.Abs(news) > most {
		news = math.Copysign(most, news)
		e = s.off + news
	}
	s.size += forgets * (math.Abs(news) - s.size)
	s.off = e
	s.level += level * e
	for i, p := range s.phase {
		takes := c.short
		if i == len(s.phase)-1 {
			takes = c.long
		}
		s.seasons[i][p] += takes * e
	}
}

func (s *state) step() {
	for i, p := range s.b.periods {
		if s.phase[i]++; s.phase[i] == p {
			s.phase[i] = 0
		}
	}
}
