package translate

import (
	"math"

	mutation "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// MirrorHeader tells a pod that a call is a copy, whose answer nobody sees.
const MirrorHeader = "x-kongdao-mirror"

// mirrorPolicies send copies from the router straight to a cluster: they come
// through no listener, so they take from no bucket and are in no log.
func mirrorPolicies(f *model.Function) (all []*route.RouteAction_RequestMirrorPolicy) {
	for _, m := range f.Mirrors {
		all = append(all, &route.RouteAction_RequestMirrorPolicy{
			Cluster: m.Cluster(),
			RuntimeFraction: &core.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{
				Numerator: uint32(math.Round(m.Percent * 1e4)), Denominator: typev3.FractionalPercent_MILLION,
			}},
			DisableShadowHostSuffixAppend: true,
			RequestHeadersMutations:       []*mutation.HeaderMutation{overwrite(MirrorHeader, f.Name)},
		})
	}
	return all
}
