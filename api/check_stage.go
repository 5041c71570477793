package api

import "fmt"

const wantShape = "want one shape: {rate: 300, duration: 30s}, {from: 10, to: 500, duration: 1m}, or steps, spike, sine or soak"

func (r *report) stages(at string, all []Stage) {
	for i, s := range all {
		s.check(r, fmt.Sprintf("%s[%d]", at, i))
	}
}

func (st Stage) check(r *report, at string) {
	ramp := st.From != 0 || st.To != 0
	r.rates(at, rateAt{"rate", st.Rate}, rateAt{"from", st.From}, rateAt{"to", st.To})
	shapes := 0
	for _, given := range []bool{st.Rate != 0, ramp, st.Steps != nil, st.Spike != nil, st.Sine != nil, st.Soak != nil} {
		if given {
			shapes++
		}
	}
	switch {
	case shapes == 0:
		r.add(at, "has no rate, %s", wantShape)
	case shapes > 1:
		r.add(at, "has %d shapes, %s", shapes, wantShape)
	}
	if st.Duration <= 0 {
		r.add(at+".duration", "is missing, want a duration such as 30s")
	}
	st.checkShape(r, at)
}

type rateAt struct {
	key  string
	rate float64
}

func (r *report) rates(at string, all ...rateAt) {
	for _, v := range all {
		if !finite(v.rate) || v.rate < 0 {
			r.add(at+"."+v.key, "is %v, want requests a second, 0 or more", v.rate)
		}
	}
}

func (st Stage) checkShape(r *report, at string) {
	if s := st.Steps; s != nil {
		r.rates(at+".steps", rateAt{"from", s.From}, rateAt{"to", s.To})
		if s.Count < 2 || s.Count > 1000 {
			r.add(at+".steps.count", "is %d, want a whole number from 2 to 1000", s.Count)
		}
	}
	if s := st.Spike; s != nil {
		r.rates(at+".spike", rateAt{"base", s.Base}, rateAt{"peak", s.Peak})
		if s.Peak <= s.Base {
			r.add(at+".spike.peak", "is %v, want requests a second above base, %v", s.Peak, s.Base)
		}
		switch {
		case s.Hold <= 0:
			r.add(at+".spike.hold", "is missing, want a duration such as 10s")
		case st.Duration > 0 && 2*s.Rise+s.Hold > st.Duration:
			r.add(at+".spike", "takes %v with its rise, hold and fall, want %v, the stage's duration, or less", 2*s.Rise+s.Hold, st.Duration)
		}
	}
	if s := st.Sine; s != nil {
		s.check(r, at+".sine")
	}
	if s := st.Soak; s != nil {
		r.rates(at+".soak", rateAt{"rate", s.Rate})
		if s.Rate == 0 {
			r.add(at+".soak.rate", "is missing, want requests a second above 0")
		}
		if st.Duration > 0 && 2*s.Ramp > st.Duration {
			r.add(at+".soak.ramp", "is %v, twice of which is more than the stage's duration, %v", s.Ramp, st.Duration)
		}
	}
}

func (s *Sine) check(r *report, at string) {
	r.rates(at, rateAt{"mean", s.Mean}, rateAt{"amplitude", s.Amplitude})
	if s.Mean <= 0 {
		r.add(at+".mean", "is %v, want requests a second above 0", s.Mean)
	} else if s.Amplitude > s.Mean {
		r.add(at+".amplitude", "is %v, want %v, the mean, or less: a rate is never below 0", s.Amplitude, s.Mean)
	}
	if s.Period <= 0 {
		r.add(at+".period", "is missing, want a duration such as 10m")
	}
	switch s.Start {
	case "", "mean", "peak", "falling", "trough":
	default:
		r.add(at+".start", "is %s, want mean, peak, falling or trough", quote(s.Start))
	}
}
