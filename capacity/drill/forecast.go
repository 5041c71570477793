package drill

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/capacity/predict"
)

// Forecast is what a function's callers are to expect while the zone is empty, with
// the traffic of now.
type Forecast struct {
	Function string           `json:"function"`
	Offered  float64          `json:"offered_qps"`
	Limit    float64          `json:"limit"`              // requests a second without the zone; 0: none
	Refused  float64          `json:"refused"`            // share of calls
	Before   float64          `json:"qps_a_pod_before"`   // requests a second
	After    float64          `json:"qps_a_pod_after"`    // requests a second
	Highest  float64          `json:"qps_a_pod_seen_yet"` // the highest that a pod had in the past that was looked at
	P99      predict.Estimate `json:"p99"`
	Zones    []ZoneForecast   `json:"zones"` // sorted by name
}

// ZoneForecast is the part of a zone.
type ZoneForecast struct {
	Zone   string  `json:"zone"`
	Pods   int     `json:"pods"`
	Before float64 `json:"qps_before"` // requests a second
	After  float64 `json:"qps_after"`  // requests a second
}

// Foresee predicts what happens without the zone to the functions that have pods in
// it and traffic.
func Foresee(zone string, loads []Load) []Forecast {
	var out []Forecast
	for _, l := range loads {
		if l.Pods[zone] > 0 && l.QPS > 0 {
			out = append(out, foresee(zone, l))
		}
	}
	slices.SortFunc(out, func(a, b Forecast) int { return strings.Compare(a.Function, b.Function) })
	return out
}

// paced is the refused share from which on the limit, and no more chance, decides when
// calls come.
const paced = 0.05

func foresee(zone string, l Load) Forecast {
	all := 0
	for _, n := range l.Pods {
		all += n
	}
	left := all - l.Pods[zone]
	f := Forecast{Function: l.Function, Offered: l.QPS, Limit: l.Limit * float64(left) / float64(all)}
	depth := predict.Depth(l.QPS, l.Limit, l.Depth, l.Cut)
	admitted := func(limit float64) float64 {
		if limit == 0 {
			return l.QPS
		}
		return l.QPS * (1 - predict.Refused(l.QPS, limit, depth*limit/l.Limit)) // a bucket holds a part of a second
	}
	before := admitted(l.Limit)
	f.Before = before / float64(all)
	after := 0.0
	if f.Refused = 1; left > 0 {
		after = admitted(f.Limit)
		f.Refused = 1 - after/l.QPS
		f.After = after / float64(left)
	}
	f.P99.How = predict.Unknown
	if l.Curve != nil && left > 0 {
		f.Highest = l.Curve.Highest()
		turns := float64(left)
		if f.Refused > paced { // what a limit cuts off at its rate reaches pods evenly
			turns *= 20
		}
		f.P99 = l.Curve.At(f.After, turns)
	}
	for name, n := range l.Pods {
		z := ZoneForecast{Zone: name, Pods: n, Before: before * float64(n) / float64(all)}
		if name != zone && left > 0 {
			z.After = after * float64(n) / float64(left)
		}
		f.Zones = append(f.Zones, z)
	}
	slices.SortFunc(f.Zones, func(a, b ZoneForecast) int { return cmp.Compare(a.Zone, b.Zone) })
	return f
}
