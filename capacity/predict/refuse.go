package predict

import "math"

// Refused is the share of calls that a limit refuses, from 0 to 1:
//
//	share = L / λ
//	L     = μ·e^x / (e^x - 1)  with  μ = λ - F  and  x = 2·μ·B/σ²;  σ²/(2·B) when μ = 0
//
//	where  λ   offered rate, requests a second
//	       F   the limit, requests a second; 0: there is none
//	       B   requests that the bucket holds, at least 1
//	       σ²  variance of arrivals in a second: λ, for they come by chance
//
// L is what a bucket that fills at F and is emptied by chance lacks in a second, in
// the continuous approximation. Far above the limit it is λ - F; a bucket of 2 % of a
// second refuses some calls shortly below the limit, too.
func Refused(offered, limit, burst float64) float64 {
	return RefusedBunched(offered, limit, max(burst, 1))
}

// RefusedBunched is Refused at a depth as Depth gives it, which may be less than one
// call.
func RefusedBunched(offered, limit, b float64) float64 {
	if limit <= 0 || offered <= 0 {
		return 0
	}
	mu := offered - limit
	x := 2 * mu * b / offered
	lacking := 0.0
	switch {
	case math.Abs(x) < 1e-6:
		lacking = offered / (2 * b)
	case x > 500:
		lacking = mu
	default:
		lacking = mu / -math.Expm1(-x)
	}
	return min(1, max(0, lacking/offered))
}

// Depth is how many requests a bucket seems to hold, by the share of calls that it
// refuses at a rate: calls that come in bunches, from a few callers or from one that
// was held up, find it less deep than it is. It is between a tenth of nominal and
// nominal.
func Depth(offered, limit, nominal, refused float64) float64 {
	if limit <= 0 || offered <= 0 || offered >= limit || Refused(offered, limit, nominal) >= refused {
		return nominal
	}
	low, high := 0.1*nominal, nominal
	for range 40 {
		if middle := (low + high) / 2; RefusedBunched(offered, limit, middle) > refused {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
