package predict

import (
	"math/rand/v2"

	"github.com/kongdao/kongdao/capacity/podtest"
)

func quantile(sorted []float64, p float64) float64 { return podtest.Quantile(sorted, p) }

// past is stretches of ten seconds of a fleet at these rates of a pod.
func past(f podtest.Fleet, r *rand.Rand, rates ...float64) (all []Sample) {
	for _, rate := range rates {
		calls := int(10 * rate * float64(f.Pods))
		took := f.Run(r, rate, calls)
		s := Sample{Rate: rate, Pods: float64(f.Pods), Calls: float64(calls)}
		for _, p := range Levels() {
			s.Quantiles = append(s.Quantiles, quantile(took, p))
		}
		all = append(all, s)
	}
	return all
}
