package explain

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

// Filters of the gateway's listener, by the names they have there.
const (
	filterAnyHostScope   = "kongdao.any_host.scope"
	filterAnyHostReroute = "kongdao.any_host.reroute"
	filterRevision       = "kongdao.revision"
	filterLimit          = "envoy.filters.http.local_ratelimit"
	filterRouter         = "envoy.filters.http.router"
)

// limitName is what a refused request carries in x-kongdao-limited-by.
const limitName = "capacity"

// Explain tells what a gateway of this world does with the request. It is pure.
func Explain(w *model.World, r Request) Answer {
	r, unbelieved := believed(w, r)
	a := Answer{
		Unbelieved: unbelieved,
		Filters:    []string{}, Limits: []Limit{}, Zones: map[string]Zone{}, Endpoints: []Endpoint{},
		From: r.From, request: r,
	}
	if a.Reason = malformed(r); a.Reason != "" {
		a.Status = http.StatusBadRequest
		return a
	}
	if redirected(w, &a) {
		return a
	}
	path, ok := normalize(r.Path)
	if !ok {
		a.Status, a.Reason = http.StatusBadRequest, "the path is malformed"
		return a
	}
	if r.upgrade() || r.forWebsocket() {
		a.upgraded(w, path)
		return a
	}
	rule, wild := find(w, r, path)
	if wild {
		a.Filters = append(a.Filters, filterAnyHostScope, filterAnyHostReroute)
	}
	if rule != nil && rule.CORS != nil && r.Headers.Get("origin") != "" {
		a.Filters = append(a.Filters, filterCORS)
	}
	if len(r.values(model.RevisionHeader)) > 0 {
		a.Filters = append(a.Filters, filterRevision)
	}
	if rule == nil {
		a.Filters = append(a.Filters, filterLimit, filterRouter)
		a.Status, a.Reason = http.StatusNotFound, "no function has a route for this host, path, method and headers"
		return a
	}
	f := rule.Function
	a.Function, a.Route, a.Source, a.Match = f.Name, rule.Name, rule.Source.String(), describe(rule)
	if f.Invalid == "" && rule.Preflight(r.Method, path, r.query(), r.values) {
		if !rule.CORS.Allows(r.Headers.Get("origin")) && a.refuseMarked(w, f) {
			return a
		}
		a.Filters = append(a.Filters, filterLimit, filterRouter)
		a.preflight(rule)
		return a
	}
	if a.refuseMarked(w, f) {
		return a
	}
	v := f.Decide(r.values, r.caller(w))
	if rule.Invalid != "" && f.Invalid == "" {
		v = model.Verdict{Status: http.StatusServiceUnavailable, Reason: rule.Invalid}
	}
	a.accessFilters(rule, v)
	a.follow(rule, v)
	if v.Status == 0 {
		a.handle(rule, path)
		a.transcode(rule, path)
	}
	if a.Handling != nil {
		a.Handling.CORS = a.origin(rule)
	}
	return a
}

// takes tells whether a rule is the one for a request, or for a preflight of it.
func takes(rule *model.Rule, r Request, path string) bool {
	if rule.Websocket {
		return false
	}
	return rule.Matches(r.Method, path, r.query(), r.values) ||
		rule.Function.Invalid == "" && rule.Preflight(r.Method, path, r.query(), r.values)
}

// find returns the rule that takes the request, or nil, and whether wildcard
// hosts were looked at.
func find(w *model.World, r Request, path string) (rule *model.Rule, wild bool) {
	rules := w.Candidates(r.Host)
	exact := 0
	if h := w.Host(model.CleanHost(r.Host)); h != nil && !h.Wildcard() {
		exact = len(h.Rules)
		// Envoy looks exact hosts up as they are written, up to the first colon.
		if name, _, _ := strings.Cut(r.Host, ":"); name != h.Name {
			rules, exact = rules[exact:], 0
		}
	}
	i := slices.IndexFunc(rules, func(rule *model.Rule) bool { return takes(rule, r, path) })
	if i < 0 {
		return nil, true
	}
	return rules[i], i >= exact
}

// follow fills in what the function's verdict means.
func (a *Answer) follow(rule *model.Rule, v model.Verdict) {
	a.judge(rule.Function, v)
	if v.Status != 0 {
		a.Status, a.Reason = v.Status, v.Reason
		return
	}
	if v.Pinned != nil {
		a.pin(v.Pinned)
		return
	}
	a.share(v.Shares)
	a.Why, a.Shadow = v.Why, v.Shadow
	a.limit(rule, v)
}

// pin is the way of a request to a pod under test: no limit, no other pod.
func (a *Answer) pin(p *model.PinnedPod) {
	a.Pinned, a.Revision = true, p.Revision.Name
	a.Revisions = []Revision{{Name: p.Revision.Name, Share: 1, Ready: 1, Total: 1}}
	a.Zones[p.Pod.Zone] = Zone{Ready: 1, Total: 1, Priority: p.Pod.Priority, Weight: p.Pod.Weight, Share: 1}
	a.Endpoints = append(a.Endpoints, Endpoint{Address: p.Address, Zone: p.Pod.Zone, State: stateOf(p.Pod), Share: 1})
}

// share fills in revisions, and the zones and pods of the first one.
func (a *Answer) share(shares []model.Share) {
	shares = slices.Clone(shares)
	slices.SortStableFunc(shares, func(x, y model.Share) int { return cmp.Compare(y.Weight, x.Weight) })
	total := 0
	for _, s := range shares {
		total += s.Weight
	}
	for _, s := range shares {
		r := Revision{Name: s.Revision.Name, Share: float64(s.Weight) / float64(total), Total: len(s.Revision.Pods)}
		for _, p := range s.Revision.Pods {
			if p.InRotation() && p.Ready {
				r.Ready++
			}
		}
		r.Status, r.Reason = emptiness(s.Revision)
		a.Revisions = append(a.Revisions, r)
	}
	first := shares[0].Revision
	a.Revision, a.Status, a.Reason = first.Name, a.Revisions[0].Status, a.Revisions[0].Reason
	a.place(first)
}

// place fills in the zones and pods of a revision.
func (a *Answer) place(r *model.Revision) {
	shares := a.From.shares(r)
	for i, p := range r.Pods {
		z := a.Zones[p.Zone]
		z.Total++
		if p.Ready {
			z.Ready++
		}
		z.Priority, z.Weight, z.Share = p.Priority, p.Weight, z.Share+shares[i]
		a.Zones[p.Zone] = z
		a.Endpoints = append(a.Endpoints, Endpoint{p.Address, p.Zone, stateOf(p), shares[i], p.Lift})
	}
}

// emptiness is the gateway's answer when the revision has no pod that may be
// asked; 0 when it has. A pod nobody has reported on may be: Envoy finds out.
func emptiness(r *model.Revision) (status int, reason string) {
	out := 0
	for _, p := range r.Pods {
		if p.InRotation() && !p.Down {
			return 0, ""
		}
		if !p.InRotation() {
			out++
		}
	}
	switch {
	case len(r.Pods) == 0:
		reason = fmt.Sprintf("revision %s has no pod", r.Name)
	case out == len(r.Pods):
		reason = fmt.Sprintf("every pod of revision %s is drained or pinned", r.Name)
	default:
		reason = fmt.Sprintf("no pod of revision %s is ready", r.Name)
	}
	return http.StatusServiceUnavailable, reason
}

// limitOf is the function's limit as the request meets it.
func limitOf(f *model.Function, v model.Verdict) (Limit, bool) {
	shares := f.Split
	if v.Matched {
		shares = v.Shares
	}
	rate, revision := f.Limit, limiting(shares)
	if v.Matched {
		rate = revision.Capacity
	}
	if rate <= 0 {
		return Limit{}, false
	}
	return Limit{
		Name:              limitName,
		RequestsPerSecond: rate,
		Burst:             int(f.Tier.Burst / max(v.Cost, 1)),
		Follows:           follows(revision, rate, len(shares) > 1),
	}, true
}

// limiting is the revision whose capacity is used up first.
func limiting(shares []model.Share) *model.Revision {
	least := slices.MinFunc(shares, func(x, y model.Share) int {
		return cmp.Compare(reach(x), reach(y))
	})
	return least.Revision
}

// reach is how much of the traffic, in an arbitrary unit, fills the revision.
func reach(s model.Share) float64 {
	if s.Revision.Capacity <= 0 {
		return math.Inf(1)
	}
	return s.Revision.Capacity / float64(s.Weight)
}

// follows says what a rate is made of.
func follows(r *model.Revision, rate float64, split bool) string {
	ready := 0
	for _, share := range r.PodShares() {
		if share > 0 {
			ready++
		}
	}
	q := r.PodRate()
	if ready == 0 {
		return fmt.Sprintf("no ready pod, held to one pod's %s/s", number(q))
	}
	text := fmt.Sprintf("%d ready %s × %s/s", ready, plural(ready, "pod"), number(q))
	if math.Abs(float64(ready)*q-r.Capacity) > 1e-6*r.Capacity {
		text += fmt.Sprintf(", unevenly loaded: %s/s", number(r.Capacity))
	}
	if split {
		text += fmt.Sprintf(" of %s, which gets %.0f%% of the traffic", r.Name, 100*r.Capacity/rate)
	}
	return text
}
