package translate

import (
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// classes lists the classes that requests through one door can have, in the order
// in which routes ask for them: load tests say so in a header; all others have one
// class.
func classes(r *model.Rule, door door) []model.Class {
	if r.Function.Ranked {
		return []model.Class{model.LoadTest, r.Class(door.consumer)}
	}
	return []model.Class{r.Class(door.consumer)}
}

// classRoutes are the routes of one class of requests through one door.
func (t *translator) classRoutes(r *model.Rule, door door, class model.Class) (routes []*route.Route) {
	f := r.Function
	conditions := classConditions(door, class)
	for _, m := range f.Matches {
		to := &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: m.Revision.Cluster()}}
		out := t.ordinary(r, door, to, chargeOf(f, m.Cost, class), append(headerMatchers(m.Headers), conditions...)...)
		t.addMatch(out.Match, m)
		routes = append(routes, out)
	}
	return append(routes, t.ordinary(r, door, shared(f), chargeOf(f, f.Cost, class), conditions...))
}

// classConditions are what requests of a class through a door have.
func classConditions(door door, class model.Class) []*route.HeaderMatcher {
	conditions := []*route.HeaderMatcher{door.header}
	if class == model.LoadTest {
		conditions = append(conditions, presentHeader(model.LoadTestHeader))
	}
	return conditions
}

func chargeOf(f *model.Function, cost uint32, class model.Class) charge {
	c := charge{bucket: f.Name, tier: f.Tier, cost: cost}
	if f.Ranked && f.Limit > 0 {
		c.reserve = class.Reserve(f.Tier.Burst, cost)
	}
	return c
}

// percentOf is a revision's part of the ordinary traffic; all of it where only
// matches lead to it.
func percentOf(f *model.Function, r *model.Revision) int {
	for _, s := range f.Split {
		if s.Revision == r {
			return s.Weight
		}
	}
	return 100
}

func presentHeader(name string) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: name, HeaderMatchSpecifier: &route.HeaderMatcher_PresentMatch{PresentMatch: true}}
}
