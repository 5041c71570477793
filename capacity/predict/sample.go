package predict

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Levels are the quantiles of a Sample.
func Levels() []float64 {
	return []float64{0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999}
}

// Sample is what callers saw in a stretch of time with steady load. Times are in
// seconds.
type Sample struct {
	Rate      float64   // requests a second that reached one pod
	Pods      float64   // that shared the function's calls
	Calls     float64   // seen in the stretch, over all pods
	Quantiles []float64 // of the duration at Levels
}

// ErrTooFew means that the past does not say enough.
var ErrTooFew = errors.New("too few calls to tell latency by load")

// ErrWorkers means that pods do not work on as many calls as was said.
var ErrWorkers = errors.New("not the workers that are declared")

// What a prediction rests on at least.
const (
	leastCalls = 500 // in a bin: five beyond its p99
	maxBins    = 6
)

// bins joins samples of like rates, so that each bin has enough calls for its p99.
func bins(samples []Sample) ([]Sample, error) {
	samples = slices.DeleteFunc(slices.Clone(samples), func(s Sample) bool {
		return !(s.Rate > 0) || !(s.Calls > 0) || len(s.Quantiles) != len(Levels()) || !positive(s.Quantiles)
	})
	slices.SortFunc(samples, func(a, b Sample) int { return cmp.Compare(a.Rate, b.Rate) })
	total := 0.0
	for _, s := range samples {
		total += s.Calls
	}
	if total < leastCalls {
		return nil, fmt.Errorf("%w: %.0f, want %d", ErrTooFew, total, leastCalls)
	}
	each := max(leastCalls, total/maxBins)
	var out []Sample
	var bin []Sample
	calls := 0.0
	for i, s := range samples {
		bin, calls, total = append(bin, s), calls+s.Calls, total-s.Calls
		if last := i == len(samples)-1; last || calls >= each && total >= each/2 {
			out = append(out, pool(bin))
			bin, calls = nil, 0
		}
	}
	return out, nil
}

func positive(all []float64) bool {
	for _, v := range all {
		if !(v > 0) || math.IsInf(v, 1) {
			return false
		}
	}
	return slices.IsSorted(all)
}

// pool is the mean of samples, each by its calls. A mean of quantiles is no quantile
// of the whole, but stretches of one bin have like rates, and it is not drawn off by
// one bad stretch as the whole's tail would be.
func pool(samples []Sample) Sample {
	out := Sample{Quantiles: make([]float64, len(Levels()))}
	for _, s := range samples {
		out.Calls += s.Calls
	}
	for _, s := range samples {
		part := s.Calls / out.Calls
		out.Rate += part * s.Rate
		out.Pods += part * s.Pods
		for i, q := range s.Quantiles {
			out.Quantiles[i] += part * math.Log(q)
		}
	}
	for i, q := range out.Quantiles {
		out.Quantiles[i] = math.Exp(q)
	}
	return out
}

// monotone makes values rise, in the sense of least squares with weights: pools of
// neighbours that fall get their mean.
func monotone(values, weights []float64) []float64 {
	type block struct {
		mean, weight float64
		n            int
	}
	var blocks []block
	for i, v := range values {
		blocks = append(blocks, block{v, weights[i], 1})
		for k := len(blocks) - 1; k > 0 && blocks[k-1].mean > blocks[k].mean; k-- {
			a, b := blocks[k-1], blocks[k]
			w := a.weight + b.weight
			blocks = append(blocks[:k-1], block{(a.mean*a.weight + b.mean*b.weight) / w, w, a.n + b.n})
		}
	}
	out := make([]float64, 0, len(values))
	for _, b := range blocks {
		for range b.n {
			out = append(out, b.mean)
		}
	}
	return out
}
