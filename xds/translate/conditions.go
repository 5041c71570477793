package translate

import (
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// conditionMatchers are conditions on headers.
func conditionMatchers(cs []model.Condition) (all []*route.HeaderMatcher) {
	for _, c := range cs {
		m := &route.HeaderMatcher{Name: c.Name}
		switch c.Kind {
		case api.MatchPresent, api.MatchAbsent:
			m.HeaderMatchSpecifier = &route.HeaderMatcher_PresentMatch{PresentMatch: c.Kind == api.MatchPresent}
		default:
			m.HeaderMatchSpecifier = &route.HeaderMatcher_StringMatch{StringMatch: stringMatcher(c.Matcher)}
		}
		all = append(all, m)
	}
	return all
}

// queryMatchers are conditions on parameters of the query.
func queryMatchers(cs []model.Condition) (all []*route.QueryParameterMatcher) {
	for _, c := range cs {
		m := &route.QueryParameterMatcher{Name: c.Name}
		switch c.Kind {
		case api.MatchPresent, api.MatchAbsent:
			m.QueryParameterMatchSpecifier = &route.QueryParameterMatcher_PresentMatch{PresentMatch: c.Kind == api.MatchPresent}
		default:
			m.QueryParameterMatchSpecifier = &route.QueryParameterMatcher_StringMatch{StringMatch: stringMatcher(c.Matcher)}
		}
		all = append(all, m)
	}
	return all
}

// stringMatcher compares a value; it is not for presence.
func stringMatcher(m api.Matcher) *matcher.StringMatcher {
	switch m.Kind {
	case api.MatchPrefix:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Prefix{Prefix: m.Text}}
	case api.MatchSuffix:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Suffix{Suffix: m.Text}}
	case api.MatchContains:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Contains{Contains: m.Text}}
	case api.MatchRegex:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: m.Text}}}
	default:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: m.Text}}
	}
}
