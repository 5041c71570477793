package api

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds of a caller's rate, requests a second, and of the time in which its burst
// would flow in: the sizes of the gateways' buckets are a fixed choice.
const (
	slowestRate = 1.0 / 300
	fastestRate = 1e5
	longestFill = 900 // seconds
)

// limitKinds are what x-kongdao-limited-by says of the gateway's own limits.
var limitKinds = []string{"capacity", "priority", "concurrency", "load-test"}

func (l *Limit) check(r *report) {
	r.metadata(&l.Metadata)
	if slices.Contains(limitKinds, l.Name) {
		r.add("metadata.name", "is %s, which refused calls already carry for another limit: want another name", quote(l.Name))
	}
	l.Caller().check(r, "spec")
	r.unique("spec.functions", l.Spec.Functions)
}

// checkLimits checks what a function says of limits and priorities.
func (f *Function) checkLimits(r *report) {
	names := map[string]int{}
	for i, l := range f.Spec.Limits {
		at := fmt.Sprintf("spec.limits[%d]", i)
		l.check(r, at)
		if l.Name != "" {
			r.name(at+".name", l.Name)
		}
		if j, again := names[l.Label()]; again {
			r.add(at+".name", "is %s, as of spec.limits[%d]: want a name of its own", quote(l.Label()), j)
		}
		names[l.Label()] = i
	}
	if len(f.Spec.Limits) > MaxCallerLimits {
		r.add("spec.limits", "has %d limits, want at most %d", len(f.Spec.Limits), MaxCallerLimits)
	}
	if f.Spec.Concurrency < 0 || f.Spec.Concurrency > 1e6 {
		r.add("spec.concurrency", "is %d, want a whole number from 0 to 1000000", f.Spec.Concurrency)
	}
	r.priority("spec.priority", f.Spec.Priority)
	for i, route := range f.Spec.Routes {
		r.priority(fmt.Sprintf("spec.routes[%d].priority", i), route.Priority)
	}
}

func (r *report) priority(field, p string) {
	if all := []string{PriorityHigh, PriorityNormal, PriorityLow}; p != "" && !slices.Contains(all, p) {
		r.add(field, "is %s, want %s", quote(p), oneOf(all))
	}
}

// Label is what a refused call carries as the limit that refused it: who is told
// apart and, where it has one, the limit's name.
func (l CallerLimit) Label() string {
	switch {
	case l.Name != "":
		return l.Per + ":" + l.Name
	case l.Per == PerHeader:
		return l.Per + ":" + strings.ToLower(l.Header)
	default:
		return l.Per
	}
}

func (l CallerLimit) check(r *report, at string) {
	switch l.Per {
	case PerHeader:
		if !headerName.MatchString(l.Header) {
			r.add(at+".header", "%s, want the name of the header whose values are told apart, such as x-user", isOrMissing(l.Header))
		}
	case PerConsumer, PerIP:
		if l.Header != "" {
			r.add(at+".header", "is %s with per: %s, want it only with per: header", quote(l.Header), l.Per)
		}
	default:
		r.add(at+".per", "%s, want %s", isOrMissing(l.Per), oneOf([]string{PerConsumer, PerIP, PerHeader}))
	}
	rate := float64(l.Rate)
	switch {
	case rate == 0:
		r.add(at+".rate", "is missing, want a rate such as 10/s, 600/m or 5000/h")
		return
	case !(rate >= slowestRate*(1-1e-9) && rate <= fastestRate):
		r.add(at+".rate", "is %s, want from %s to %s", l.Rate, Rate(slowestRate), Rate(fastestRate))
		return
	}
	if l.Burst < 0 || float64(l.Burst)/rate > longestFill {
		r.add(at+".burst", "is %d, want from 1 to %d: what flows in within %d minutes", l.Burst, max(int(rate*longestFill), 1), longestFill/60)
	}
}

// limits checks what Limit resources name, and how many meet at a function.
func (v validation) limits(s Set) {
	for _, l := range s.Limits {
		for i, name := range l.Spec.Functions {
			v.mustExist(l, fmt.Sprintf("spec.functions[%d]", i), name, v.functions, KindFunction)
		}
	}
	for _, f := range s.Functions {
		if n := len(s.LimitsOf(f)); n > MaxCallerLimits && len(f.Spec.Limits) <= MaxCallerLimits {
			v.report(f).add("spec.limits", "and the Limits that hold for it are %d together, want at most %d", n, MaxCallerLimits)
		}
	}
}

// NamedLimit is a caller limit with the bucket that its callers share: limits of
// the same bucket draw on the same rate.
type NamedLimit struct {
	CallerLimit
	Bucket string // "function/label", or "*/name" for a Limit
	Source Source
}

// LimitsOf lists the caller limits of a function: its own first, then those of
// Limit resources by name.
func (s Set) LimitsOf(f *Function) []NamedLimit {
	var all []NamedLimit
	for _, l := range f.Spec.Limits {
		all = append(all, NamedLimit{l, f.Name + "/" + l.Label(), f.Source})
	}
	for _, l := range s.Limits {
		if len(l.Spec.Functions) == 0 || slices.Contains(l.Spec.Functions, f.Name) {
			all = append(all, NamedLimit{l.Caller(), "*/" + l.Name, l.Source})
		}
	}
	return all
}
