package translate

import (
	"errors"
	"net/http"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfig "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	cel "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// Requests of stress tests say so in model.LoadTestHeader. They are refused by the
// filter that also refuses revisions, which every request meets anyway: its
// configuration is a resource of its own, so that all stress tests can be refused
// from one moment to the next without touching the listener or any route.

// Policies of that filter. The name stands in the details of a refusal.
const (
	revisionPolicy = "revision"
	markedPolicy   = "load-test"
)

// keyRefuseMarked is in the metadata of the routes of functions that take no stress
// tests, and keyShadow in those that lead stress tests to their own revision.
const (
	keyRefuseMarked = "refuse_load_test"
	keyShadow       = "shadow"
)

// markedRefusals are refused: stress tests' requests that took a function's route,
// where the function, or for the moment the whole World, takes none.
func markedRefusals(w *model.World) *rbacconfig.Policy {
	marked := &rbacconfig.Permission{Rule: &rbacconfig.Permission_Header{Header: presentHeader(model.LoadTestHeader)}}
	refusing := routeHas(keyRefuseMarked)
	if w.MarkedRefused {
		refusing = routeHas(keyFunction)
	}
	return policy(marked, refusing)
}

// MarkedRefusals is the resource by which all stress tests are refused, or not, by
// its name; it is the one of a World of which nothing else is known.
func MarkedRefusals(refuse bool) (map[string]*anypb.Any, error) {
	t := &translator{}
	body := t.pack(t.extension(revisionFilter, chosenRevisions(&model.World{MarkedRefused: refuse})))
	return map[string]*anypb.Any{revisionFilter: body}, errors.Join(t.errs...)
}

// policy holds where all permissions do, for everybody. They are asked in this
// order, so that the header comes first, which most requests have not.
func policy(permissions ...*rbacconfig.Permission) *rbacconfig.Policy {
	all := &rbacconfig.Permission_Set{Rules: permissions}
	return &rbacconfig.Policy{
		Permissions: []*rbacconfig.Permission{{Rule: &rbacconfig.Permission_AndRules{AndRules: all}}},
		Principals:  []*rbacconfig.Principal{{Identifier: &rbacconfig.Principal_Any{Any: true}}},
	}
}

// markedRefused is what the filter answers then.
func (t *translator) markedRefused() *hcm.ResponseMapper {
	return &hcm.ResponseMapper{
		Filter: &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_ExtensionFilter{ExtensionFilter: &accesslog.ExtensionFilter{
			Name: "kongdao.marked_refused",
			ConfigType: &accesslog.ExtensionFilter_TypedConfig{TypedConfig: t.pack(&cel.ExpressionFilter{
				Expression: `response.code_details == "rbac_access_denied_matched_policy[` + markedPolicy + `]"`,
			})},
		}}},
		StatusCode: wrapperspb.UInt32(http.StatusTooManyRequests),
		BodyFormatOverride: jsonBody(map[string]string{
			"error":      "limited",
			"limited_by": model.LimitedByLoadTest,
			"reason":     model.ReasonLoadTest,
			"function":   "%METADATA(ROUTE:" + Namespace + ":" + keyFunction + ")%",
			"request_id": "%REQ(x-request-id)%",
		}),
		HeadersToAdd: []*core.HeaderValueOption{header(LimitedByHeader, model.LimitedByLoadTest), header("retry-after", "60")},
	}
}

// shadowRoutes lead the stress tests' requests of a function to its revision for
// them. They stand before all other routes of the rule, so that none of them is
// found by such a request, and have a bucket of their own: the function's is for the
// pods of production. What callers are limited to is for production, too.
func (t *translator) shadowRoutes(r *model.Rule) (routes []*route.Route) {
	f := r.Function
	if f.Shadow == nil {
		return nil
	}
	marked := presentHeader(model.LoadTestHeader)
	for _, p := range f.Pinned {
		out := pinnedRoute(r, p)
		out.Match.Headers = append(out.Match.Headers, marked)
		routes = append(routes, out)
	}
	if f.Access.Shut(model.Call) {
		return append(routes, answer(r.Name, match(r, marked), f, closed()))
	}
	to := &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: f.Shadow.Cluster()}}
	own := charge{bucket: f.Shadow.Cluster(), tier: f.ShadowTier(), cost: f.Shadow.Cost}
	out := t.ordinary(r, door{right: model.Call}, to, own, marked)
	out.Metadata = routeMetadata(f, own, keyShadow, "1")
	return append(routes, out)
}

// isShadow tells whether a route leads stress tests to their own revision.
func isShadow(r *route.Route) bool {
	return r.GetMetadata().GetFilterMetadata()[Namespace].GetFields()[keyShadow] != nil
}
