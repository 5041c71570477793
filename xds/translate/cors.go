package translate

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	cors "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

const filterCORS = "envoy.filters.http.cors"

// preflightRoutes stand before everything that asks who calls: browsers send
// their preflights without keys and cookies. The filter answers those of pages that
// may call; it does so only on routes to a cluster, and this one leads to none, so
// that nothing gets past it to a pod.
func (t *translator) preflightRoutes(r *model.Rule) []*route.Route {
	allowed := &route.Route{
		Name:     r.Name,
		Match:    preflightMatch(r, originMatcher(r.CORS)),
		Metadata: routeMetadata(r.Function, charge{bucket: "answer/" + r.Function.Name, tier: model.Tiers()[0], cost: 1}),
		Action: &route.Route_Route{Route: &route.RouteAction{
			ClusterSpecifier: &route.RouteAction_Cluster{Cluster: nowhere},
		}},
	}
	t.configure(allowed, filterCORS, corsPolicy(r.CORS))
	refused := answer(r.Name, preflightMatch(r, someHeader("origin")), r.Function,
		direct(http.StatusForbidden, "origin", "pages of this origin may not call"))
	return []*route.Route{allowed, refused}
}

func preflightMatch(r *model.Rule, origin *route.HeaderMatcher) *route.RouteMatch {
	asked := someHeader(requestMethod)
	if len(r.Methods) > 0 {
		asked = methodMatcher(r.Methods)
		asked.Name = requestMethod
	}
	return match(&model.Rule{Path: r.Path, Query: r.Query, Methods: []string{http.MethodOptions}}, origin, asked)
}

const (
	nowhere       = "kongdao.nowhere" // a cluster that there never is
	requestMethod = "access-control-request-method"
)

// readable doubles the gateway's own answers: Envoy's filter leaves them alone, so
// those to pages that may call are routes of their own with the headers that let
// the page read them.
func readable(routes []*route.Route, c *model.CORS) (all []*route.Route) {
	for _, r := range routes {
		if r.GetRoute() != nil {
			r.ResponseHeadersToAdd = append(r.ResponseHeadersToAdd, varyOrigin()...)
			all = append(all, r)
			continue
		}
		page := proto.CloneOf(r)
		page.Match.Headers = append(page.Match.Headers, originMatcher(c))
		page.ResponseHeadersToAdd = append(page.ResponseHeadersToAdd, header("access-control-allow-origin", "%REQ(origin)%"))
		if c.Credentials {
			page.ResponseHeadersToAdd = append(page.ResponseHeadersToAdd, header("access-control-allow-credentials", "true"))
		}
		if len(c.Expose) > 0 {
			page.ResponseHeadersToAdd = append(page.ResponseHeadersToAdd, header("access-control-expose-headers", strings.Join(c.Expose, ",")))
		}
		page.ResponseHeadersToAdd = append(page.ResponseHeadersToAdd, varyOrigin()...)
		all = append(all, page, r)
	}
	return all
}

// varyOrigin tells caches that the answer to another page is another one.
func varyOrigin() []*core.HeaderValueOption {
	return literalHeaders([]model.Header{{Name: "vary", Value: "origin"}}, appending)
}

// originMatcher takes requests of pages that may call.
func originMatcher(c *model.CORS) *route.HeaderMatcher {
	if c.AnyOrigin {
		return someHeader("origin")
	}
	var each []string
	for _, o := range c.Origins {
		if o.Kind == api.MatchRegex {
			each = append(each, "(?:"+o.Text+")")
		} else {
			each = append(each, regexp.QuoteMeta(o.Text))
		}
	}
	return regexHeader("origin", strings.Join(each, "|"))
}

// someHeader takes requests with a value of that header that is not empty.
func someHeader(name string) *route.HeaderMatcher { return regexHeader(name, ".+") }

func regexHeader(name, expression string) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: name, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: stringMatcher(api.Matcher{Kind: api.MatchRegex, Text: expression}),
	}}
}

func corsPolicy(c *model.CORS) *cors.CorsPolicy {
	p := &cors.CorsPolicy{
		AllowMethods:  strings.Join(c.Methods, ","),
		AllowHeaders:  strings.Join(c.Headers, ","),
		ExposeHeaders: strings.Join(c.Expose, ","),
	}
	if c.Credentials {
		p.AllowCredentials = wrapperspb.Bool(true)
	}
	if c.MaxAge > 0 {
		p.MaxAge = strconv.Itoa(int(c.MaxAge.Seconds()))
	}
	if c.AnyOrigin {
		p.AllowOriginStringMatch = append(p.AllowOriginStringMatch, &matcher.StringMatcher{
			// A name in a page's origin is never empty.
			MatchPattern: &matcher.StringMatcher_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: ".+"}},
		})
	}
	for _, o := range c.Origins {
		p.AllowOriginStringMatch = append(p.AllowOriginStringMatch, stringMatcher(o.Matcher))
	}
	return p
}
