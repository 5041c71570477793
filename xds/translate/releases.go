package translate

import (
	"fmt"
	"net/http"
	"strings"

	xdscore "github.com/cncf/xds/go/xds/core/v3"
	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfig "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbac "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	luamatcher "github.com/envoyproxy/go-control-plane/envoy/extensions/string_matcher/lua/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// revisionFilter refuses requests that name a revision without the right to, and
// those of stress tests that nobody wants.
const revisionFilter = "kongdao.revision"

// keyChosen marks routes that may be reached with model.RevisionHeader.
const keyChosen = "chosen" // route

// revisionRoutes lead those who may choose to the revision that they name.
func (t *translator) revisionRoutes(r *model.Rule) (routes []*route.Route) {
	if r.Function.Access.Shut(model.NameRevision) {
		return nil
	}
	for _, door := range doors(r.Function, model.NameRevision) {
		for _, class := range classes(r, door) {
			routes = append(routes, t.chosenRoutes(r, door, class)...)
		}
	}
	return routes
}

// chosenRoutes are those of one class of requests through one door.
func (t *translator) chosenRoutes(r *model.Rule, door door, class model.Class) (routes []*route.Route) {
	for _, rev := range r.Function.Revisions {
		to := &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: rev.Cluster()}}
		conditions := append(classConditions(door, class), exactHeader(model.RevisionHeader, rev.Name))
		out := t.ordinary(r, door, to, chargeOf(r.Function, rev.Cost, class), conditions...)
		out.RequestHeadersToRemove = append(out.RequestHeadersToRemove, model.RevisionHeader)
		choosable(out)
		routes = append(routes, out)
	}
	return routes
}

// choosable lets requests with model.RevisionHeader through to a route.
func choosable(r *route.Route) {
	r.Metadata.FilterMetadata[Namespace].Fields[keyChosen] = structpb.NewStringValue("1")
}

// chosenRevisions is one filter for all functions, so that those without any right
// need no routes for it: a request that has model.RevisionHeader and took a route
// of a function, but not a choosable one, is refused. So are requests of stress
// tests where none are taken, see marked.go.
func chosenRevisions(w *model.World) *rbac.RBAC {
	header := &rbacconfig.Permission{Rule: &rbacconfig.Permission_Header{Header: presentHeader(model.RevisionHeader)}}
	chosen := &rbacconfig.Permission{Rule: &rbacconfig.Permission_NotRule{NotRule: routeHas(keyChosen)}}
	return &rbac.RBAC{Rules: &rbacconfig.RBAC{
		Action: rbacconfig.RBAC_DENY,
		Policies: map[string]*rbacconfig.Policy{
			revisionPolicy: policy(header, routeHas(keyFunction), chosen),
			markedPolicy:   markedRefusals(w),
		},
	}}
}

// routeHas is true for routes with this key in their metadata.
func routeHas(key string) *rbacconfig.Permission {
	return &rbacconfig.Permission{Rule: &rbacconfig.Permission_SourcedMetadata{SourcedMetadata: &rbacconfig.SourcedMetadata{
		MetadataSource: rbacconfig.MetadataSource_ROUTE,
		MetadataMatcher: &matcher.MetadataMatcher{
			Filter: Namespace,
			Path:   []*matcher.MetadataMatcher_PathSegment{{Segment: &matcher.MetadataMatcher_PathSegment_Key{Key: key}}},
			Value:  &matcher.ValueMatcher{MatchPattern: &matcher.ValueMatcher_PresentMatch{PresentMatch: true}},
		},
	}}}
}

// revisionRefused is what chosenRevisions answers.
func revisionRefused() *hcm.ResponseMapper {
	named := &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslog.HeaderFilter{
		Header: &route.HeaderMatcher{Name: model.RevisionHeader, HeaderMatchSpecifier: &route.HeaderMatcher_PresentMatch{PresentMatch: true}},
	}}}
	refused := &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslog.StatusCodeFilter{Comparison: &accesslog.ComparisonFilter{
			Op:    accesslog.ComparisonFilter_EQ,
			Value: &core.RuntimeUInt32{DefaultValue: http.StatusForbidden, RuntimeKey: "kongdao.revision_refused"},
		}},
	}}
	return &hcm.ResponseMapper{
		Filter: &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_AndFilter{
			AndFilter: &accesslog.AndFilter{Filters: []*accesslog.AccessLogFilter{named, refused}},
		}},
		BodyFormatOverride: jsonBody(map[string]string{
			"error":      "revision_refused",
			"reason":     "the caller may not choose a revision, or there is none of that name",
			"function":   "%METADATA(ROUTE:" + Namespace + ":" + keyFunction + ")%",
			"request_id": "%REQ(x-request-id)%",
		}),
	}
}

// addMatch puts a match's conditions into a route's.
func (t *translator) addMatch(to *route.RouteMatch, m model.Match) {
	for _, c := range m.Cookies {
		to.Cookies = append(to.Cookies, &route.CookieMatcher{
			Name: c.Name, StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: c.Value}},
		})
	}
	switch u := m.Users; {
	case u == nil:
	case u.Cookie != "":
		to.Cookies = append(to.Cookies, &route.CookieMatcher{Name: u.Cookie, StringMatch: t.oneOf(u.In)})
	default:
		to.Headers = append(to.Headers, &route.HeaderMatcher{
			Name: u.Header, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{StringMatch: t.oneOf(u.In)},
		})
	}
}

// oneOf matches one of many values in the time of one: it looks the value up in a
// table. Envoy takes regular expressions up to a size of 100, which is five users,
// and knows no list of its own.
func (t *translator) oneOf(values []string) *matcher.StringMatcher {
	var table strings.Builder
	table.WriteString("local users={")
	for _, v := range values {
		fmt.Fprintf(&table, "[%s]=1,", luaString(v))
	}
	table.WriteString("}\nfunction envoy_match(v) return users[v]~=nil end")
	return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Custom{Custom: &xdscore.TypedExtensionConfig{
		Name: "envoy.string_matcher.lua",
		TypedConfig: t.pack(&luamatcher.Lua{
			SourceCode: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: table.String()}},
		}),
	}}}
}

// luaString is a string of Lua in which nothing but letters, digits and a few
// marks stands for itself.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.@:/+=", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// shared sends requests to the function's revisions by weight. Where the function
// is sticky, the key's hash stands for chance: modulo the sum of the weights it is
// the slot of model.Function.Slots.
func shared(f *model.Function) *route.RouteAction {
	if f.Sticky == (model.Origin{}) || len(f.Split) == 1 {
		return split(f.Split)
	}
	action := split(f.Slots())
	action.GetWeightedClusters().RandomValueSpecifier = &route.WeightedCluster_UseHashPolicy{UseHashPolicy: wrapperspb.Bool(true)}
	policy := &route.RouteAction_HashPolicy{PolicySpecifier: &route.RouteAction_HashPolicy_Header_{
		Header: &route.RouteAction_HashPolicy_Header{HeaderName: f.Sticky.Header},
	}}
	if c := f.Sticky.Cookie; c != "" { // without a lifetime: Envoy makes none of its own
		policy.PolicySpecifier = &route.RouteAction_HashPolicy_Cookie_{Cookie: &route.RouteAction_HashPolicy_Cookie{Name: c}}
	}
	action.HashPolicy = []*route.RouteAction_HashPolicy{policy}
	return action
}
