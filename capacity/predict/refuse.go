package predict

import "math"

// Refused is the share of calls that a limit refuses, from 0 to 1, where they come by
// chance:
//
//	share = (1 - (1-ρ)·G(B-1)) / (1 + ρ·G(B-1))
//	G(x)  = Σ e^(ρ(x-k))·(-ρ(x-k))^k / k!   over k = 0, 1, … ≤ x
//
//	where  ρ   offered rate / limit; a limit of 0: there is none
//	       B   requests that the bucket holds, at least 1
//
// What a bucket lacks is the work in a queue with Poisson arrivals and a constant time
// of service, M/D/1, which lets nobody in who finds more than B-1 of it: below that the
// work is distributed as in the endless queue (Erlang 1909, Crommelin 1932), and what is
// let in is what is filled up again. A bucket of 2 % of a second refuses some calls
// shortly below the limit, too.
func Refused(offered, limit, burst float64) float64 {
	if limit <= 0 || offered <= 0 {
		return 0
	}
	load, x := offered/limit, max(0, burst-1)
	if x <= shortBucket {
		g := crommelin(load, x)
		return min(1, max(0, (1-(1-load)*g)/(1+load*g)))
	}
	return deepRefused(load, x)
}

// shortBucket is up to where the series is as good as its numbers, of which those with
// different signs nearly cancel.
const shortBucket = 10

func crommelin(load, x float64) (g float64) {
	factorial := 1.0
	for k := 0; float64(k) <= x; k++ {
		if k > 0 {
			factorial *= float64(k)
		}
		y := load * (x - float64(k))
		g += math.Exp(y) * math.Pow(-y, float64(k)) / factorial
	}
	return g
}

// deepRefused is the share for a deep bucket, where G(x) has become
//
//	G(x) = (1 - A·e^(-γx)) / (1-ρ)  with  ρ(e^γ - 1) = γ ≠ 0  and  A = (1-ρ) / (ρ·e^γ - 1)
//
// and 2x + 2/3 at ρ = 1.
func deepRefused(load, x float64) float64 {
	if math.Abs(1-load) < 1e-6 {
		return 1 / (1 + 2*x + 2.0/3)
	}
	root := -2 * math.Log(load) // from here Newton's steps come to it from one side
	for range 50 {
		root -= (load*math.Expm1(root) - root) / (load*math.Exp(root) - 1)
	}
	a := (1 - load) / (load*math.Exp(root) - 1)
	if load < 1 {
		rest := a * math.Exp(-root*x) // of the work, beyond x
		return min(1, rest/(1+load*(1-rest)/(1-load)))
	}
	less := math.Exp(root * x) // both sides divided by e^(-γx), which may be beyond all numbers
	return min(1, a/(less+load*(a-less)/(load-1)))
}

// Depth is how many requests a bucket seems to hold, by the share of calls that it
// refuses at a rate: calls that come in bunches, from a few callers or from one that
// was held up, find it less deep than it is. It is between 1 and nominal.
func Depth(offered, limit, nominal, refused float64) float64 {
	if limit <= 0 || offered <= 0 || offered >= limit || Refused(offered, limit, nominal) >= refused {
		return nominal
	}
	low, high := min(1, nominal), nominal
	for range 40 {
		if middle := (low + high) / 2; Refused(offered, limit, middle) > refused {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
