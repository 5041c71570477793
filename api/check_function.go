package api

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (f *Function) check(r *report) {
	r.metadata(&f.Metadata)
	f.checkRoutes(r)
	f.checkRevisions(r)
	f.checkTraffic(r)
	f.checkReleases(r)
	f.Spec.Objective.check(r, "spec.objective")
	f.Spec.Capacity.check(r, "spec.capacity")
	if f.Spec.Timeout > 0 && f.Spec.TryTimeout > f.Spec.Timeout {
		r.add("spec.tryTimeout", "is %s, want at most the timeout of the whole call, %s", f.Spec.TryTimeout, f.Spec.Timeout)
	}
	if p := f.Spec.HealthCheck.Path; p != "" && (p[0] != '/' || strings.ContainsAny(p, " #")) {
		r.add("spec.healthCheck.path", "is %s, want a path such as /healthz", quote(p))
	}
	f.Spec.Access.check(r)
	f.checkHandling(r)
	f.checkLimits(r)
	f.checkLoadTests(r)
}

func (f *Function) checkRoutes(r *report) {
	if len(f.Spec.Routes) == 0 {
		r.add("spec.routes", "is missing, want at least one route, such as {path: /items/*}")
	}
	for i, route := range f.Spec.Routes {
		route.check(r, fmt.Sprintf("spec.routes[%d]", i))
	}
}

func (f *Function) checkRevisions(r *report) {
	if len(f.Spec.Revisions) == 0 {
		r.add("spec.revisions", "is missing, want at least one revision with a name and endpoints")
	}
	first := map[string]int{}
	for i, rev := range f.Spec.Revisions {
		at := fmt.Sprintf("spec.revisions[%d]", i)
		r.name(at+".name", rev.Name)
		if j, again := first[rev.Name]; again && rev.Name != "" {
			r.add(at+".name", "is %s again, as spec.revisions[%d]: want a new name for a new revision", quote(rev.Name), j)
		} else {
			first[rev.Name] = i
		}
		rev.check(r, at)
	}
}

func (rev Revision) check(r *report, at string) {
	if len(rev.Endpoints) == 0 {
		r.add(at+".endpoints", "is missing, want at least one pod, such as {address: \"10.0.0.7:8080\", zone: zb-a}")
	}
	r.protocol(at+".protocol", rev.Protocol)
	first := map[string]int{}
	for i, e := range rev.Endpoints {
		at := fmt.Sprintf("%s.endpoints[%d]", at, i)
		addr, err := netip.ParseAddrPort(e.Address)
		if err != nil || addr.Port() == 0 || addr.Addr().Zone() != "" {
			r.add(at+".address", "%s, want the IP address and port of a pod, such as 10.0.0.7:8080: gateways look up no names", isOrMissing(e.Address))
		}
		if j, again := first[addr.String()]; again && err == nil {
			r.add(at+".address", "is %s again, as endpoints[%d]: want each pod once in a revision", quote(e.Address), j)
		} else {
			first[addr.String()] = i
		}
		if e.Zone != "" {
			r.name(at+".zone", e.Zone)
		}
	}
}

func (f *Function) checkTraffic(r *report) {
	if len(f.Spec.Traffic) == 0 {
		return
	}
	names := f.revisionNames()
	sum, ranged := 0, true
	for i, t := range f.Spec.Traffic {
		at := fmt.Sprintf("spec.traffic[%d]", i)
		if !slices.Contains(names, t.Revision) && len(names) > 0 {
			r.add(at+".revision", "%s, want %s", isOrMissing(t.Revision), oneOf(names))
		}
		if t.Weight < 0 || t.Weight > 100 {
			r.add(at+".weight", "is %d, want a whole number from 0 to 100", t.Weight)
			ranged = false
		}
		if t.Match == nil {
			sum += t.Weight
			continue
		}
		if t.Weight != 0 && t.Weight != 100 {
			r.add(at+".weight", "is %d beside a match, which takes all calls that match: want it left out", t.Weight)
		}
	}
	if ranged && sum != 100 {
		r.add("spec.traffic", "has weights that add up to %d, want 100 over the entries without match", sum)
	}
}

func (o Objective) check(r *report, at string) {
	if !(o.Success >= 0 && o.Success <= 100) {
		r.add(at+".success", "is %v%%, want a percentage from 0%% to 100%%, such as 99.9%%", float64(o.Success))
	}
	var below Duration
	var name string
	for _, l := range []struct {
		name  string
		bound Duration
	}{{"p50", o.Latency.P50}, {"p90", o.Latency.P90}, {"p99", o.Latency.P99}} {
		switch {
		case l.bound < 0:
			r.add(at+".latency."+l.name, "is %s, want a duration such as 100ms", l.bound)
		case l.bound > 0 && l.bound < below:
			r.add(at+".latency."+l.name, "is %s, want at least the %s, %s", l.bound, name, below)
		case l.bound > 0:
			below, name = l.bound, l.name
		}
	}
}

func (c Capacity) check(r *report, at string) {
	if !finite(c.PerPodQPS) || c.PerPodQPS < 0 {
		r.add(at+".perPodQPS", "is %v, want requests a second above 0", c.PerPodQPS)
	}
	if c.PerPodQPS == 0 && (c.Headroom != 0 || c.Measured != nil) {
		r.add(at+".perPodQPS", "is missing, want requests a second above 0")
	}
	if !(c.Headroom >= 0 && c.Headroom <= 1) {
		r.add(at+".headroom", "is %v, want a number above 0, up to 1", c.Headroom)
	}
	if c.Workers < 0 || c.Workers > 10000 {
		r.add(at+".workers", "is %d, want a whole number from 0 to 10000", c.Workers)
	}
	if !finite(c.Forecast) || c.Forecast < 0 {
		r.add(at+".forecastQPS", "is %v, want requests a second, 0 or more", c.Forecast)
	}
	if m := c.Measured; m != nil {
		m.check(r, at+".measured")
	}
}

func (m Measured) check(r *report, at string) {
	if _, err := time.Parse(time.DateOnly, m.Date); err != nil {
		r.add(at+".date", "%s, want the day of the measurement, such as 2026-03-31", isOrMissing(m.Date))
	}
	if !finite(m.Low) || m.Low <= 0 {
		r.add(at+".low", "is %v, want requests a second above 0", m.Low)
	}
	if !finite(m.High) || m.High != 0 && m.High < m.Low {
		r.add(at+".high", "is %v, want at least low, %v, or nothing when no upper bound was found", m.High, m.Low)
	}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
