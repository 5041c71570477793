package translate

import (
	"net/http"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// QuarantineHeader names, in the answer to a request that took it, the function or
// the rule (function/number) that is not served because its configuration is
// wrong.
const QuarantineHeader = "x-kongdao-quarantined"

// invalidRoutes say why a rule is not served; one whose own conditions are what is
// wrong cannot be asked for at all.
func invalidRoutes(r *model.Rule) []*route.Route {
	m := match(r)
	if r.Unmatchable || m.ValidateAll() != nil {
		return nil
	}
	out := answer(r.Name, m, r.Function, direct(http.StatusServiceUnavailable, "invalid_function", r.Reason()))
	choosable(out) // the reason comes before all rights
	out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, header(QuarantineHeader, r.Quarantined()))
	return []*route.Route{out}
}
