package translate

import (
	"slices"
	"strconv"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kongdao/kongdao/xds/model"
)

// handled makes of the routes of a rule what its handling asks for: it comes after
// everything that decides who may call and where a call goes.
func (t *translator) handled(r *model.Rule, routes []*route.Route) []*route.Route {
	if r.Reason() != "" || r.Unmatchable {
		return routes
	}
	transcode := t.transcoding(r)
	for _, out := range routes {
		if to := out.GetRoute(); to != nil {
			t.carry(r, out, to)
		}
		changeHeaders(out, r)
		t.perFilter(out, r)
		transcodeBy(out, transcode)
	}
	if r.CORS != nil {
		routes = append(t.preflightRoutes(r), readable(routes, r.CORS)...)
	}
	return routes
}

// carry handles a route to pods.
func (t *translator) carry(r *model.Rule, out *route.Route, to *route.RouteAction) {
	if r.Answers() {
		answerInstead(out, r)
		return
	}
	rewrite(to, r)
	to.Timeout = durationpb.New(r.Timeout)
	if r.Idle > 0 {
		to.IdleTimeout = durationpb.New(r.Idle)
	}
	if r.Websocket {
		upgraded(to, r)
	}
	if isPinned(r.Function, to) {
		return
	}
	if to.RetryPolicy != nil && r.TryTimeout > 0 {
		to.RetryPolicy.PerTryTimeout = durationpb.New(r.TryTimeout)
	}
	if isShadow(out) {
		return // copies would reach pods of production
	}
	to.RequestMirrorPolicies = mirrorPolicies(r.Function)
}

// isPinned tells whether a route leads to a pod under test, which sees each call
// once and as it is.
func isPinned(f *model.Function, to *route.RouteAction) bool {
	return slices.ContainsFunc(f.Pinned, func(p *model.PinnedPod) bool { return p.Cluster() == to.GetCluster() })
}

// perFilter switches filters of the listener on that are off for other routes.
func (t *translator) perFilter(out *route.Route, r *model.Rule) {
	if r.CORS != nil && out.GetRoute() != nil {
		t.configure(out, filterCORS, corsPolicy(r.CORS))
	}
	if out.GetRoute() == nil || r.Websocket {
		return
	}
	if r.MaxRequestBytes > 0 {
		t.configure(out, filterBuffer, bodyLimit(r.MaxRequestBytes))
		fields := out.Metadata.GetFilterMetadata()[Namespace].GetFields()
		fields[keyBodyLimit] = structpb.NewStringValue("maxRequestBytes")
		fields[keyMaxRequestBytes] = structpb.NewStringValue(strconv.FormatInt(r.MaxRequestBytes, 10))
	}
	if r.Compression {
		t.compress(out)
	}
}

func (t *translator) configure(out *route.Route, filter string, config proto.Message) {
	if out.TypedPerFilterConfig == nil {
		out.TypedPerFilterConfig = map[string]*anypb.Any{}
	}
	out.TypedPerFilterConfig[filter] = t.pack(config)
}
