package usage

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Load is a stretch at one rate and what was used in it.
type Load struct {
	Rate    float64 // requests a second
	Seconds float64
	Step
}

// Summary is what a pod used over a search. 0: not known.
type Summary struct {
	CPU       float64 `json:"cpu_cores_at_safe_rate,omitempty"`
	CPUPer    float64 `json:"cpu_ms_per_request,omitempty"` // what one more request costs
	CPULimit  float64 `json:"cpu_limit_cores,omitempty"`
	LimitFrom string  `json:"cpu_limit_from,omitempty"`
	// Bound is the highest share of the limit that was used close to the rate at which
	// the objective breaks, and BoundRate that rate.
	Bound     float64 `json:"cpu_of_limit_at_bound,omitempty"`
	BoundRate float64 `json:"bound_rate,omitempty"`

	Memory      float64 `json:"memory_bytes,omitempty"` // at the end
	MemoryLimit float64 `json:"memory_limit_bytes,omitempty"`
	// MemoryPer is by how much memory grew with a thousand requests; Leak tells that it
	// grew in every part of the time, at rates that did not.
	MemoryPer float64 `json:"memory_bytes_per_1000_requests"`
	Leak      bool    `json:"leak"`

	Throttled *float64 `json:"throttled,omitempty"` // share of periods in which the quota was used up
	Steal     *float64 `json:"steal,omitempty"`     // share of the machine's time that others' machines took
	Restarted bool     `json:"restarted,omitempty"`
	Readings  int      `json:"readings"`
}

// Summarise says what the pod used at the safe rate and close to the limit, the rate
// at which the objective breaks. Memory counts from steady on, when the load did not
// rise any more. It is nil when nothing was read.
func (r *Recorder) Summarise(loads []Load, safe, limit float64, steady time.Time) *Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.readings) == 0 {
		return nil
	}
	first, last := r.readings[0], r.readings[len(r.readings)-1]
	s := Summary{Readings: len(r.readings), CPULimit: known(last.CPULimit), Memory: known(last.Memory), MemoryLimit: known(last.MemoryLimit)}
	if s.CPULimit > 0 {
		s.LimitFrom = last.limitFrom
	}
	s.cpu(r.readings, loads, safe, limit)
	s.memory(r.readings, steady)
	if periods := last.Periods - first.Periods; periods > 0 {
		share := (last.Throttled - first.Throttled) / periods
		s.Throttled = &share
	}
	if all := last.Machine - first.Machine; all > 0 {
		share := (last.Steal - first.Steal) / all
		s.Steal = &share
	}
	s.Restarted = slices.ContainsFunc(r.readings, func(x Reading) bool { return x.Started > first.Started || x.CPU < first.CPU })
	return &s
}

func known(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// cpu is what a second costs and what a request costs more, from what was used between
// readings: both count at the same moment, whatever a busy machine does to the rate.
func (s *Summary) cpu(all []Reading, loads []Load, safe, limit float64) {
	var tt, tn, nn, ty, ny float64
	for i := 1; i < len(all); i++ {
		used := all[i].CPU - all[i-1].CPU
		if math.IsNaN(used) || used < 0 {
			continue
		}
		dt, dn := all[i].At.Sub(all[i-1].At).Seconds(), all[i].requests-all[i-1].requests
		// Each counts by its length, as longer ones are known better.
		tt, tn, nn, ty, ny = tt+dt, tn+dn, nn+dn*dn/dt, ty+used, ny+dn*used/dt
	}
	if tn > 0 {
		per, base := ty/tn, 0.0
		if spread := tt*nn - tn*tn; spread > leastSpread*tt*nn {
			per = max(0, (tt*ny-tn*ty)/spread)
			base = (ty - per*tn) / tt
		}
		if base < 0 { // through nothing at no load
			per, base = ny/nn, 0
		}
		s.CPUPer, s.CPU = 1000*per, base+per*safe
	}
	for _, l := range loads {
		if l.CPU > 0 && s.CPULimit > 0 && l.Rate >= nearBound*limit && l.CPU/s.CPULimit > s.Bound {
			s.Bound, s.BoundRate = l.CPU/s.CPULimit, l.Rate
		}
	}
}

// leastSpread is how much rates have to vary for what a second costs to be told from
// what a request costs.
const leastSpread = 0.01

// nearBound is the share of the limit from which on a rate is close to it.
const nearBound = 0.94

// Parts of the time for a leak, and what makes one: that the least memory of each part
// is above that of the part before happens by chance once in 720 times with six parts,
// and it has to be worth a mention.
const (
	leakParts = 6
	leakEach  = 4 // readings in a part, at least
	leakShare = 0.005
)

// memory looks at the lowest use in each part: what is there after garbage collection.
func (s *Summary) memory(all []Reading, steady time.Time) {
	all = slices.DeleteFunc(slices.Clone(all), func(x Reading) bool { return !(x.Memory > 0) })
	from := slices.IndexFunc(all, func(x Reading) bool { return !x.At.Before(steady) })
	if from < 0 || len(all)-from < leakParts*leakEach {
		from = 0 // nothing to tell a leak from load by
	}
	rising := from == 0
	all = all[from:]
	if len(all) < 2*leakParts {
		return
	}
	var requests, least []float64
	for p := range leakParts {
		part := all[p*len(all)/leakParts : (p+1)*len(all)/leakParts]
		low := slices.MinFunc(part, func(a, b Reading) int { return compare(a.Memory, b.Memory) })
		requests, least = append(requests, low.requests), append(least, low.Memory)
	}
	s.MemoryPer = 1000 * middleSlope(requests, least)
	s.Leak = !rising && least[leakParts-1] > (1+leakShare)*least[0]
	for i := 1; i < leakParts; i++ {
		s.Leak = s.Leak && least[i] > least[i-1]
	}
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// middleSlope is the median of the slopes between all pairs (Theil and Sen's), which a
// single jump does not draw off.
func middleSlope(x, y []float64) float64 {
	var slopes []float64
	for i := range x {
		for j := range i {
			if x[i] > x[j] {
				slopes = append(slopes, (y[i]-y[j])/(x[i]-x[j]))
			}
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	return (slopes[(len(slopes)-1)/2] + slopes[len(slopes)/2]) / 2
}

// Shares of the limit from which on CPU is what gives in first, and below which it is
// not.
const (
	cpuFull, cpuFree = 0.9, 0.7
	muchThrottled    = 0.01
)

// Says are sentences for people: what saturates, as far as it is known.
func (s Summary) Says() (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s.Bound > 0 {
		text := fmt.Sprintf("CPU is at %.0f %% of its limit of %.3g cores (%s) at %.1f/s", 100*s.Bound, s.CPULimit, s.LimitFrom, s.BoundRate)
		switch {
		case s.Bound >= cpuFull:
			text += ": CPU gives in first"
		case s.Bound < cpuFree:
			text += ": something else gives in first, such as workers, locks or what is behind the pod"
		}
		say("%s", text)
	}
	if s.Throttled != nil && *s.Throttled > muchThrottled {
		say("its CPU quota was used up in %.0f %% of the periods", 100**s.Throttled)
	}
	if s.Leak {
		say("memory grew all the time at a steady load, by %s with 1,000 requests: a leak", Bytes(s.MemoryPer))
	}
	if s.Restarted {
		say("the pod has started anew during the search: what was measured is of two processes")
	}
	return all
}

// Bytes is "12.3 MiB".
func Bytes(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; math.Abs(n) >= 1024 && i < len(units)-1; i++ {
		n /= 1024
	}
	if math.Abs(n) < 99.95 && i > 0 {
		return fmt.Sprintf("%.1f %s", n, units[i])
	}
	return fmt.Sprintf("%.0f %s", n, units[i])
}
