// Package drill empties a zone and brings it back, as an exercise or in earnest.
//
// First it computes whether the other zones can take over (Check). Then it lowers
// the zone's weight step by step, looks at the system's health after each, and goes
// back at once when health fails or the caller gives up. A drained zone is never
// forgotten: every drain expires.
//
// The package changes nothing itself; how a zone's weight is set and what healthy
// means are passed in.
package drill

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/capacity/predict"
)

// Load is what one function has to carry at the moment.
type Load struct {
	Function string
	QPS      float64        // current traffic over all zones, requests a second
	SafeRate float64        // of one pod, requests a second; 0: unknown
	Pods     map[string]int // ready pods by zone

	Peak  float64        // the highest traffic to expect, requests a second; 0: not asked for
	From  string         // where the peak is from, such as "declared"
	Limit float64        // of the function with all these pods, requests a second; 0: none
	Depth float64        // requests that the limit lets through at once
	Cut   float64        // share of calls that it refuses now
	Curve *predict.Curve // latency by load; nil: unknown
}

// Finding says how one function would fare without the zone.
type Finding struct {
	Function string  `json:"function"`
	OK       bool    `json:"ok"`
	QPS      float64 `json:"qps"`
	Capacity float64 `json:"capacity_left"` // requests a second that the other zones' pods can take
	Before   float64 `json:"utilisation_before"`
	After    float64 `json:"utilisation_after"` // -1: no pods left, or unknown
	Peak     float64 `json:"peak_qps,omitempty"`
	AtPeak   float64 `json:"utilisation_after_at_peak,omitempty"` // -1: no pods left, or unknown
	Reason   string  `json:"reason"`
}

// Precheck says whether a zone may be drained.
type Precheck struct {
	Zone     string    `json:"zone"`
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

// ErrRefused is for a drain that the pre-check does not allow.
var ErrRefused = errors.New("zone must not be drained")

// Err is nil when the drain is allowed, else an ErrRefused with the figures.
func (p Precheck) Err() error {
	if p.OK {
		return nil
	}
	var reasons []string
	for _, f := range p.Findings {
		if !f.OK {
			reasons = append(reasons, f.Function+": "+f.Reason)
		}
	}
	return fmt.Errorf("%w: %s", ErrRefused, strings.Join(reasons, "; "))
}

// Check compares the current traffic with what is left without the zone:
//
//	after = qps / (Q · Σ pods in the other zones)  ≤  most
//
//	where  qps   current traffic of the function, requests a second
//	       Q     safe rate of one pod, requests a second
//	       most  highest utilisation to accept, in (0,1]
//
// and, for functions with a Peak, that peak / (Q · Σ pods in the other zones) ≤ 1.
//
// Traffic of which nothing is known refuses the drain: a function without a safe
// rate, unless it has no traffic or no pod in the zone. Functions without traffic
// need one pod elsewhere, as the next call must not fail.
func Check(zone string, most float64, loads []Load) Precheck {
	return CheckPart(zone, 0, most, loads)
}

// CheckPart is Check for a zone that keeps a part of its share, percent: its pods count
// as so much.
func CheckPart(zone string, keep int, most float64, loads []Load) Precheck {
	p := Precheck{Zone: zone, OK: true}
	for _, l := range loads {
		f := find(zone, keep, most, l)
		p.OK = p.OK && f.OK
		p.Findings = append(p.Findings, f)
	}
	slices.SortStableFunc(p.Findings, func(a, b Finding) int { return strings.Compare(a.Function, b.Function) })
	return p
}

func find(zone string, keep int, most float64, l Load) Finding {
	all, left := 0.0, float64(l.Pods[zone]*keep)/FullWeight
	for z, n := range l.Pods {
		all += float64(n)
		if z != zone {
			left += float64(n)
		}
	}
	f := Finding{Function: l.Function, QPS: l.QPS, Capacity: l.SafeRate * left, Before: -1, After: -1}
	if l.SafeRate > 0 && all > 0 {
		f.Before = l.QPS / (l.SafeRate * all)
	}
	if l.SafeRate > 0 && left > 0 {
		f.After = l.QPS / f.Capacity
	}
	f.OK, f.Reason = decide(f, all, left, l, most)
	if f.Peak = l.Peak; f.OK && l.Peak > 0 && left != all {
		f.OK, f.AtPeak, f.Reason = atPeak(f, left, l)
	}
	return f
}

// atPeak says whether the other zones' pods carry the peak, at their safe rates: a
// peak is short, and the zone may be lost just then.
func atPeak(f Finding, left float64, l Load) (ok bool, after float64, reason string) {
	if l.SafeRate == 0 || left == 0 {
		return false, -1, fmt.Sprintf("%.1f/s at its peak (%s), and the safe rate of a pod is unknown: run kongdao capacity find %s", l.Peak, l.From, l.Function)
	}
	after = l.Peak / f.Capacity
	if l.Peak > f.Capacity {
		return false, after, fmt.Sprintf("%.1f/s at its peak (%s) on %.6g pods that can take %.1f/s: %.0f %%", l.Peak, l.From, left, f.Capacity, 100*after)
	}
	return true, after, f.Reason
}

func decide(f Finding, all, left float64, l Load, most float64) (bool, string) {
	switch {
	case all == 0 && l.QPS == 0:
		return true, "has no pods and no traffic"
	case left == 0:
		return false, "no pod is left in the other zones"
	case left == all:
		return true, "has no pod in the zone"
	case l.QPS == 0:
		return true, fmt.Sprintf("no traffic, %.6g pods are left", left)
	case l.SafeRate == 0:
		return false, fmt.Sprintf("%.1f/s, and the safe rate of a pod is unknown: run kongdao capacity find %s", l.QPS, l.Function)
	case f.After > most:
		return false, fmt.Sprintf("%.1f/s on %.6g pods that can take %.1f/s: %.0f %%, more than %.0f %%", l.QPS, left, f.Capacity, 100*f.After, 100*most)
	}
	return true, fmt.Sprintf("%.1f/s on %.6g pods that can take %.1f/s: %.0f %%", l.QPS, left, f.Capacity, 100*f.After)
}
