package proxyless

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// ads says that a resource comes over the stream that everything comes over.
func ads() *core.ConfigSource {
	return &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
	}
}

// listenerOf names the function's routes. It never changes.
func listenerOf(name string) (*listener.Listener, error) {
	router, err := pack(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := pack(&hcm.HttpConnectionManager{
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{ConfigSource: ads(), RouteConfigName: name}},
		HttpFilters: []*hcm.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: router},
		}},
	})
	if err != nil {
		return nil, err
	}
	return &listener.Listener{Name: name, ApiListener: &listener.ApiListener{ApiListener: manager}}, nil
}

// routesOf are the function's own paths and no others: pods may have methods that
// no route leads to.
func routesOf(f *model.Function) *route.RouteConfiguration {
	host := &route.VirtualHost{Name: f.Name, Domains: []string{"*"}}
	for _, r := range f.Rules() {
		if r.Unmatchable || len(r.Methods) > 0 && !slices.Contains(r.Methods, "POST") {
			continue // no call of gRPC takes it
		}
		host.Routes = append(host.Routes, routesOfRule(f, r)...)
	}
	return &route.RouteConfiguration{Name: f.Name, VirtualHosts: []*route.VirtualHost{host}}
}

func routesOfRule(f *model.Function, r *model.Rule) []*route.Route {
	if r.Reason() != "" { // what answers and is no pod is nothing that clients know: the call fails
		return []*route.Route{{Name: r.Name, Match: path(r), Action: &route.Route_DirectResponse{
			DirectResponse: &route.DirectResponseAction{Status: 503},
		}}}
	}
	var all []*route.Route
	for _, m := range f.Matches {
		if len(m.Cookies) > 0 || m.Users != nil && m.Users.Header == "" {
			continue // clients keep no cookies
		}
		match := path(r)
		for _, h := range m.Headers {
			match.Headers = append(match.Headers, exact(h))
		}
		if m.Users != nil {
			match.Headers = append(match.Headers, oneOf(m.Users))
		}
		all = append(all, to(r, match, m.Revision.Cluster()))
	}
	return append(all, to(r, path(r), f.Name))
}

func exact(h model.Header) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: h.Name, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: h.Value}},
	}}
}

func oneOf(u *model.Users) *route.HeaderMatcher {
	quoted := make([]string, len(u.In))
	for i, user := range u.In {
		quoted[i] = regexp.QuoteMeta(user)
	}
	return &route.HeaderMatcher{Name: u.Header, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_SafeRegex{
			SafeRegex: &matcher.RegexMatcher{Regex: strings.Join(quoted, "|")},
		}},
	}}
}

func path(r *model.Rule) *route.RouteMatch {
	if r.Path.Kind == model.Prefix {
		return &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: r.Path.Text}}
	}
	return &route.RouteMatch{PathSpecifier: &route.RouteMatch_Path{Path: r.Path.Text}}
}

func to(r *model.Rule, match *route.RouteMatch, cluster string) *route.Route {
	action := &route.RouteAction{
		ClusterSpecifier: &route.RouteAction_Cluster{Cluster: cluster},
		RetryPolicy:      retryPolicy(r.Function),
	}
	if r.Timeout > 0 {
		action.MaxStreamDuration = &route.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(r.Timeout)}
	}
	return &route.Route{Name: r.Name, Match: match, Action: &route.Route_Route{Route: action}}
}

// The defaults of gateways, see translate.retryPolicy.
const (
	retries    = 4
	backOff    = 5 * time.Millisecond
	maxBackOff = 50 * time.Millisecond
)

// unavailable are the conditions that a client meets as the status UNAVAILABLE.
var unavailable = []string{"reset", "5xx", "gateway-error", "502", "503", "504"}

// retryPolicy is nil where only calls are tried again that reached no pod, which
// clients do by themselves.
func retryPolicy(f *model.Function) *route.RetryPolicy {
	asked := slices.ContainsFunc(f.Retries.On, func(c string) bool { return slices.Contains(unavailable, c) })
	if f.Retries.Off || !asked && (len(f.Retries.On) > 0 || !f.Idempotent) {
		return nil
	}
	base := max(cmp.Or(f.Retries.BackOff.Base.Std(), backOff), time.Millisecond)
	most := cmp.Or(f.Retries.BackOff.Max.Std(), max(maxBackOff, 10*f.Retries.BackOff.Base.Std()))
	return &route.RetryPolicy{
		RetryOn:      "unavailable",
		NumRetries:   wrapperspb.UInt32(uint32(cmp.Or(f.Retries.Attempts, retries))),
		RetryBackOff: &route.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(base), MaxInterval: durationpb.New(max(base, most))},
	}
}

func pack(m proto.Message) (*anypb.Any, error) {
	body := &anypb.Any{}
	return body, anypb.MarshalFrom(body, m, proto.MarshalOptions{Deterministic: true})
}
