package translate

import (
	"slices"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
)

// anotherLook adds to a host what its routes need, for all of them, if requests may
// be looked up again when it is known who calls: they then take another of the
// host's routes, with the chain of the first one.
func (t *translator) anotherLook(v *route.VirtualHost, rules []*model.Rule) {
	if !slices.ContainsFunc(rules, ruleLooksAgain) {
		return
	}
	for _, r := range v.GetRoutes() {
		for name := range r.GetTypedPerFilterConfig() {
			if v.TypedPerFilterConfig == nil {
				v.TypedPerFilterConfig = map[string]*anypb.Any{}
			}
			if v.TypedPerFilterConfig[name] == nil {
				v.TypedPerFilterConfig[name] = t.switchedOn(name)
			}
		}
	}
}

func ruleLooksAgain(r *model.Rule) bool {
	return looksAgain(r.Function, model.Call) || looksAgain(r.Function, model.NameRevision)
}

// looksAgain tells whether who may call a function shows by something that has the
// route looked up again: access.lua where consumers have routes of their own, and
// everybody who is asked about a request.
func looksAgain(f *model.Function, right model.Right) bool {
	if f.Access.Open(right) {
		return false
	}
	return f.Access.Signature || f.Access.AsksExternal(right) || len(f.OwnRoutes(right)) > 0
}

// apart tells whether the functions of a host have to be kept apart: a request that
// one of them let in must not be taken by another one, whose access is not asked a
// second time. It could be where routes have conditions that hold before and not
// after: a key is taken away, a token's claims and an authorizer's headers are set.
func apart(rules []*model.Rule) bool {
	several := slices.ContainsFunc(rules, func(r *model.Rule) bool { return r.Function != rules[0].Function })
	conditions := slices.ContainsFunc(rules, func(r *model.Rule) bool { return len(r.Headers)+len(r.Query) > 0 })
	return several && conditions && slices.ContainsFunc(rules, ruleLooksAgain)
}

// letInTo holds for requests that were let in to the function, or to none yet.
// access.lua sets the header before they are looked up again.
func letInTo(function string) *route.HeaderMatcher {
	return &route.HeaderMatcher{
		Name: model.LetInHeader, TreatMissingHeaderAsEmpty: true,
		HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{StringMatch: &matcher.StringMatcher{
			MatchPattern: &matcher.StringMatcher_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: "(" + function + ")?"}},
		}},
	}
}
