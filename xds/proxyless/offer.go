package proxyless

import (
	"fmt"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// Refusal says why a function is not offered to clients that call it by
// themselves; empty: it is. It depends on what is written of the function, not on
// its pods or weights, so that no pod that dies and no release takes it away from
// those who call it.
func Refusal(f *model.Function) string {
	if f.Invalid != "" {
		return "it is not served: " + f.Invalid
	}
	for _, reason := range []string{accessRefusal(f.Access), limitRefusal(f), trafficRefusal(f), loadTestRefusal(f)} {
		if reason != "" {
			return reason
		}
	}
	rules := f.Rules()
	if len(rules) == 0 {
		return "it has no routes"
	}
	for _, r := range rules {
		if reason := ruleRefusal(r); reason != "" {
			return fmt.Sprintf("route %s %s", r.Name, reason)
		}
	}
	return ""
}

// accessRefusal is empty for functions that everybody may call from everywhere.
func accessRefusal(a model.Access) string {
	switch {
	case !a.Public || a.External != nil || len(a.Tokens) > 0:
		return "access: it is not public, and only a gateway asks who calls"
	case a.Lists():
		return "access.ip: only a gateway looks at addresses"
	}
	return ""
}

// limitRefusal is empty for functions without a rate. Requests in flight are
// something that clients can count.
func limitRefusal(f *model.Function) string {
	if f.Limit > 0 {
		return "capacity: its rate is held by gateways alone"
	}
	for _, r := range f.Revisions {
		if r.Capacity > 0 {
			return "capacity: its rate is held by gateways alone"
		}
	}
	if len(f.Callers) > 0 {
		return "limits: callers' rates are held by gateways alone"
	}
	return ""
}

// loadTestRefusal is empty for functions that take stress tests as all else.
func loadTestRefusal(f *model.Function) string {
	if f.Shadow != nil || f.MarkedRefused {
		return "loadTest: only a gateway tells stress tests apart"
	}
	return ""
}

func trafficRefusal(f *model.Function) string {
	if f.Sticky != (model.Origin{}) {
		return "sticky: clients draw each call by weight"
	}
	used := map[*model.Revision]bool{}
	for _, s := range f.Split {
		used[s.Revision] = true
	}
	for _, m := range f.Matches {
		used[m.Revision] = true
	}
	for r := range used {
		if r.Protocol != api.GRPC {
			return "its pods do not speak gRPC (protocol)"
		}
	}
	return ""
}

// ruleRefusal is empty for rules of which clients do everything that a gateway does.
func ruleRefusal(r *model.Rule) string {
	switch {
	case r.Path.Kind == model.Template:
		return "has a template as its path"
	case len(r.Headers)+len(r.Query) > 0:
		return "has conditions besides its path"
	case r.Answers() || r.Websocket:
		return "leads to no gRPC method"
	case r.Rewrite != nil || r.RewriteHost != "":
		return "rewrites the request"
	case r.RequestHeaders.Any() || r.ResponseHeaders.Any():
		return "changes headers"
	case r.MaxRequestBytes > 0:
		return "bounds the size of requests"
	}
	return ""
}
