// Package plan says how many pods each zone needs so that a function survives its
// peak with zones lost, and what is missing. It is arithmetic alone: no clock, no
// state.
//
// The formula, for one function:
//
//	needed = ⌈ peak·(1+growth) / (Q·u) ⌉
//	zone   = ⌈ needed / (Z − f) ⌉
//
//	where  peak    expected peak, requests a second
//	       growth  expected increase until pods can be added, as a share of peak
//	       Q       safe rate of one pod, requests a second, the lower bound of its interval
//	       u       utilisation of that rate to plan for, in (0,1]: room for uneven balancing and bursts
//	       Z       zones that the function runs in
//	       f       zones that may be lost at the same time, below Z
//	       needed  pods that must be left when f zones are lost
//	       zone    pods in each zone
//
// Both steps round up. Rounding once, ⌈peak·(1+growth)/((Z−f)·Q·u)⌉, gives the same
// number (nested ceilings of quotients by whole numbers), the two steps give the
// figure "needed" too. With Z = 3 and f = 1 zones are at most at 2/3·u in normal
// times, with Z = 2 at u/2.
//
// Example: 10 million calls a day are 10⁷/86,400 = 115.7/s; with a peak factor of 10
// that is 1,157/s; at 300/s a pod and u = 0.7 it needs ⌈1157/210⌉ = 6 pods; of three
// zones one may fail: ⌈6/2⌉ = 3 in each, 9 in all.
package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// secondsPerDay turns calls a day into calls a second.
const secondsPerDay = 86_400

// Peak is the rate to expect, requests a second, of calls a day whose busiest
// moment is factor times the mean. Daily curves of consumer traffic peak at 3; a
// promotion at 10 and more.
func Peak(callsPerDay, factor float64) float64 { return callsPerDay / secondsPerDay * factor }

// Policy is what every function is planned for.
type Policy struct {
	Zones       []string // zones of the plan
	LostZones   int      // zones that may be lost at the same time
	Growth      float64  // expected increase of the peak, as a share of it
	Utilisation float64  // of the safe rate, in (0,1]

	Risk    float64  // that a forecast peak is exceeded; said in the plan, applied by who forecasts
	Without []string // zones of the plan that are thought away, with their pods
	Events  []WhatIf // that are thought to fall on the peak
	PodHour float64  // price of a pod for an hour; 0: nothing is said of costs
}

// DefaultPolicy survives the loss of any one zone at 70 % of the safe rate,
// without growth.
func DefaultPolicy(zones ...string) Policy {
	return Policy{Zones: zones, LostZones: min(1, max(0, len(zones)-1)), Utilisation: 0.7}
}

// Validate reports every field that is wrong.
func (p Policy) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(p.Zones) > 0, "zones: must not be empty")
	check(len(slices.Compact(slices.Sorted(slices.Values(p.Zones)))) == len(p.Zones), "zones: each once")
	check(p.LostZones >= 0 && p.LostZones < max(1, len(p.Zones)), "lostZones: %d of %d zones cannot be lost: one must be left", p.LostZones, len(p.Zones))
	check(p.Growth >= 0 && !math.IsInf(p.Growth, 0), "growth: %g must be a share, 0 or above", p.Growth)
	check(p.Utilisation > 0 && p.Utilisation <= 1, "utilisation: %g is not in (0,1]", p.Utilisation)
	check(p.Risk >= 0 && p.Risk <= 0.5, "risk: %g is not a probability up to 0.5", p.Risk)
	check(p.PodHour >= 0 && !math.IsInf(p.PodHour, 0), "price: %g must be 0 or above", p.PodHour)
	for _, e := range p.Events {
		check(e.Factor > 0 && !math.IsInf(e.Factor, 0), "event %s: factor %g must be above 0", e.Name, e.Factor)
	}
	return errors.Join(errs...)
}

// Function is what is known of one function.
type Function struct {
	Name        string
	PeakQPS     float64        // expected peak, requests a second; 0: unknown
	SafeRate    float64        // of one pod, requests a second; 0: unknown
	Measured    bool           // SafeRate comes from a search, not from a wish
	HavePerZone map[string]int // ready pods; a missing zone has none

	Mean      float64 // mean rate of late, requests a second
	MeanKnown bool
	Unplanned bool     // it has neither forecast nor rate: it is looked at for merging alone
	Inputs    []Input  // where the figures are from
	Notes     []string // what is not known of them
}

// Row is the plan of one function.
type Row struct {
	Function string         `json:"function"`
	PeakQPS  float64        `json:"peak_qps"`
	SafeRate float64        `json:"safe_rate"`
	Measured bool           `json:"measured"`
	Needed   int            `json:"needed"`          // pods that must be left when zones are lost; 0: unknown
	PerZone  int            `json:"needed_per_zone"` // 0: unknown
	Have     map[string]int `json:"have_per_zone"`
	Missing  map[string]int `json:"missing_per_zone"` // zones that lack pods alone
	// Survives is the largest number of zones, whichever they are, whose loss leaves
	// enough pods for the peak at the planned utilisation; -1: not even with all
	// zones, or unknown.
	Survives int `json:"survives_zones"`
	// Now and ZoneLost are the peak, growth included, as shares of the safe rate of
	// all pods, and of those that are left when the zone with the most pods is lost;
	// -1: no pods, or unknown.
	Now      float64  `json:"utilisation"`
	ZoneLost float64  `json:"utilisation_zone_lost"`
	Notes    []string `json:"notes,omitempty"` // what is not known, and what to run

	Idle   map[string]int `json:"idle_per_zone,omitempty"` // zones with more pods than planned alone
	Cost   *Cost          `json:"cost_per_hour,omitempty"`
	Inputs []Input        `json:"inputs,omitempty"` // what the plan assumed, and where it is from
}

// OK says that the plan is known and met in every zone.
func (r Row) OK() bool { return r.PerZone > 0 && len(r.Missing) == 0 }

// Plan is the plan of all functions, in the order they were given.
type Plan struct {
	Zones       []string `json:"zones"`
	LostZones   int      `json:"lost_zones"`
	Growth      float64  `json:"growth"`
	Utilisation float64  `json:"planned_utilisation"`
	Functions   []Row    `json:"functions"`

	Risk    float64  `json:"risk,omitempty"`    // that a forecast peak is exceeded
	Without []string `json:"without,omitempty"` // zones that were thought away
	Events  []WhatIf `json:"events,omitempty"`  // that were thought to fall on the peak
	Merge   []Merge  `json:"merge,omitempty"`   // functions whose pods have next to nothing to do
	Cost    *Cost    `json:"cost_per_hour,omitempty"`
}

// OK says that every function's plan is known and met.
func (p Plan) OK() bool {
	return !slices.ContainsFunc(p.Functions, func(r Row) bool { return !r.OK() })
}

// Make plans all functions. Its error is that of the policy, or names a function
// with impossible figures.
func Make(p Policy, functions []Function) (Plan, error) {
	all := p.Zones
	p, err := p.imagined()
	if err != nil {
		return Plan{}, err
	}
	out := Plan{
		Zones: p.Zones, LostZones: p.LostZones, Growth: p.Growth, Utilisation: p.Utilisation,
		Risk: p.Risk, Without: p.Without, Events: p.Events,
	}
	var errs []error
	for _, f := range functions {
		if err := f.validate(all); err != nil {
			errs = append(errs, fmt.Errorf("function %s: %w", f.Name, err))
			continue
		}
		if m, few := f.merge(p); few {
			out.Merge = append(out.Merge, m)
		}
		if !f.Unplanned {
			out.Functions = append(out.Functions, row(p, f))
		}
	}
	out.price(p.PodHour)
	return out, errors.Join(errs...)
}

func (f Function) validate(zones []string) error {
	for _, v := range []float64{f.PeakQPS, f.SafeRate, f.Mean} {
		if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("rate %v must be a number, 0 or above", v)
		}
	}
	for zone, n := range f.HavePerZone {
		if n < 0 {
			return fmt.Errorf("zone %s: %d pods", zone, n)
		}
		if !slices.Contains(zones, zone) {
			return fmt.Errorf("zone %s is not one of the plan's", zone)
		}
	}
	return nil
}

// Pods is ⌈peak/(rate·utilisation)⌉, the pods that carry a peak.
func Pods(peak, rate, utilisation float64) int { return ceil(peak / (rate * utilisation)) }

// PerZone is ⌈pods/(zones−lost)⌉.
func PerZone(pods, zones, lost int) int { return (pods + zones - lost - 1) / (zones - lost) }

// ceil forgives the rounding errors of floating point: 4.2/(3·0.7) are 2 pods.
func ceil(x float64) int { return int(math.Ceil(x - 1e-9)) }

func row(p Policy, f Function) Row {
	r := Row{
		Function: f.Name, PeakQPS: f.PeakQPS, SafeRate: f.SafeRate, Measured: f.Measured,
		Have: map[string]int{}, Missing: map[string]int{}, Survives: -1, Now: -1, ZoneLost: -1,
	}
	for _, z := range p.Zones {
		r.Have[z] = f.HavePerZone[z]
	}
	r.note(f)
	r.Inputs = p.inputs(f)
	if f.SafeRate == 0 || f.PeakQPS == 0 {
		return r
	}
	peak := f.PeakQPS * (1 + p.Growth) * p.factor()
	r.Needed = Pods(peak, f.SafeRate, p.Utilisation)
	r.PerZone = PerZone(r.Needed, len(p.Zones), p.LostZones)
	for _, z := range p.Zones {
		if missing := r.PerZone - r.Have[z]; missing > 0 {
			r.Missing[z] = missing
		} else if missing < 0 {
			r.idle(z, -missing)
		}
	}
	left := remaining(p.Zones, r.Have)
	for lost, pods := range left[:len(left)-1] {
		if pods >= r.Needed {
			r.Survives = lost
		}
	}
	r.Now = utilisation(peak, f.SafeRate, left[0])
	r.ZoneLost = utilisation(peak, f.SafeRate, left[1])
	return r
}

// remaining is the number of pods that are left when the n zones with the most
// pods are lost, n from 0 to all.
func remaining(zones []string, have map[string]int) []int {
	counts := make([]int, 0, len(zones))
	total := 0
	for _, z := range zones {
		counts = append(counts, have[z])
		total += have[z]
	}
	slices.Sort(counts)
	left := []int{total}
	for _, n := range slices.Backward(counts) {
		total -= n
		left = append(left, total)
	}
	return left
}

func utilisation(peak, rate float64, pods int) float64 {
	if pods == 0 {
		return -1
	}
	return peak / (rate * float64(pods))
}

func (r *Row) note(f Function) {
	switch {
	case f.SafeRate == 0:
		r.Notes = append(r.Notes, fmt.Sprintf("safe rate unknown: run kongdao capacity find %s", f.Name))
	case !f.Measured:
		r.Notes = append(r.Notes, fmt.Sprintf("safe rate is a target, not measured: run kongdao capacity find %s", f.Name))
	}
	if f.PeakQPS == 0 {
		r.Notes = append(r.Notes, "peak unknown: set spec.capacity.forecastQPS")
	}
	r.Notes = append(r.Notes, f.Notes...)
}
