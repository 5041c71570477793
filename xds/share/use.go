package share

import "time"

// kept is how many reports are remembered.
const kept = 10

// Use is what one gateway was asked for of one function's requests, report by
// report. The zero value has seen nothing.
type Use struct {
	samples [kept]sample
	n       int // ever
}

type sample struct {
	end time.Time
	Sum
}

// Sum is what was counted in some time.
type Sum struct {
	Admitted, Refused float64 // requests
	Took              time.Duration
}

// Demand is the rate of requests, admitted or refused, a second; 0 when nothing
// was counted.
func (s Sum) Demand() float64 { return s.per(s.Admitted + s.Refused) }

// AdmittedRate and RefusedRate are requests a second.
func (s Sum) AdmittedRate() float64 { return s.per(s.Admitted) }

// RefusedRate is the rate of what was refused.
func (s Sum) RefusedRate() float64 { return s.per(s.Refused) }

func (s Sum) per(requests float64) float64 {
	if s.Took <= 0 {
		return 0
	}
	return requests / s.Took.Seconds()
}

// Add takes in a report for a time that ends at end.
func (u *Use) Add(end time.Time, report Sum) {
	u.samples[u.n%kept] = sample{end, report}
	u.n++
}

// Last sums up the last reports that cover a time, of those that began after
// since; ok is false when they do not cover it, unless they are all that is
// remembered.
func (u *Use) Last(cover time.Duration, since time.Time) (sum Sum, ok bool) {
	for i := u.n - 1; i >= max(0, u.n-kept); i-- {
		s := u.samples[i%kept]
		if s.end.Add(-s.Took).Before(since) {
			return sum, false
		}
		sum.Admitted += s.Admitted
		sum.Refused += s.Refused
		if sum.Took += s.Took; sum.Took >= cover {
			return sum, true
		}
	}
	return sum, u.n >= kept
}

// Newest is when the last report ended; zero: there is none.
func (u *Use) Newest() time.Time {
	if u.n == 0 {
		return time.Time{}
	}
	return u.samples[(u.n-1)%kept].end
}
