package explain

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

// upgrade tells whether a request asks for another protocol on its connection.
// Gateways decide about that before anything else; HTTP/2 in clear is not one of
// them, for that they ignore.
func (r Request) upgrade() bool {
	to := r.Headers.Values("upgrade")
	if len(to) == 0 || strings.EqualFold(to[0], "h2c") {
		return false
	}
	return slices.ContainsFunc(r.Headers.Values("connection"), func(line string) bool {
		return slices.ContainsFunc(strings.Split(line, ","), func(word string) bool {
			return strings.EqualFold(strings.TrimSpace(word), "upgrade")
		})
	})
}

// forWebsocket tells whether a request is looked up among the routes for
// websockets, and nowhere else: by a header that only handshakes have.
func (r Request) forWebsocket() bool { return len(r.Headers.Values(model.WebsocketHeader)) > 0 }

// upgraded is the answer to a request that asks for another protocol, or carries
// the header of a handshake. Where a route leads to no pod there is nothing that
// could be upgraded.
func (a *Answer) upgraded(w *model.World, path string) {
	r := a.request
	refuse := func(reason string) { a.Status, a.Reason = http.StatusForbidden, reason }
	rule := upgradeRule(w, r, path)
	if rule == nil {
		refuse("no route takes this upgrade; websockets need one with websocket: true")
		return
	}
	f := rule.Function
	a.Function, a.Route, a.Source, a.Match = f.Name, rule.Name, rule.Source.String(), describe(rule)
	if !rule.Websocket {
		refuse("the route takes no upgrade; websockets need one with websocket: true")
		return
	}
	if rule.Quarantined() != "" {
		refuse(rule.Reason())
		return
	}
	v := f.Decide(r.values, r.caller(w))
	if !shut(f, v) && a.refuseMarked(w, f) {
		return
	}
	switch {
	case v.Status != 0 && v.Admitted.Status == 0:
		refuse(v.Reason)
		return
	case v.Status != 0:
		a.accessFilters(rule, v)
		a.follow(rule, v)
		return
	}
	a.Websocket = true
	a.accessFilters(rule, v)
	a.follow(rule, v)
	a.handle(rule, path)
}

// shut tells whether the route that a request takes is the answer of a closed
// function, which takes no upgrade: that is found out before all filters.
func shut(f *model.Function, v model.Verdict) bool {
	return f.Access.Shut(model.Call) && v.Status != 0 && (v.Admitted.Status == 0 || v.Admitted.Error == model.ErrorClosed)
}

// upgradeRule is the rule that takes the request: with a handshake's header one for
// websockets, else one of the exact host, for wildcards take no upgrade.
func upgradeRule(w *model.World, r Request, path string) *model.Rule {
	if !r.forWebsocket() {
		if rule, wild := find(w, r, path); !wild {
			return rule
		}
		return nil
	}
	if !model.Handshake(r.values) || !r.upgrade() {
		return nil
	}
	for _, rule := range w.Candidates(r.Host) {
		if rule.Websocket && rule.Matches(r.Method, path, r.query(), r.values) {
			return rule
		}
	}
	return nil
}
