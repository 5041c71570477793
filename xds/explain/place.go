package explain

import "github.com/kongdao/kongdao/xds/model"

// Place is where a request comes in. The zero value is any gateway: shares are those
// of all of them together.
type Place struct {
	Group string `json:"group,omitempty"` // of gateways
	Zone  string `json:"zone,omitempty"`  // where the gateway stands
}

// shares are the parts that pods get of a revision's requests from this place.
func (p Place) shares(r *model.Revision) []float64 {
	if p.Zone != "" {
		if plan, ok := r.From(p.Zone); ok {
			return plan.Shares
		}
	}
	return r.PodShares()
}

// sees tells whose view an answer is, for people; empty: nobody's in particular.
func (p Place) sees() string {
	switch {
	case p.Zone != "" && p.Group != "":
		return "as gateways of " + p.Group + " in zone " + p.Zone + " see it"
	case p.Zone != "":
		return "as gateways in zone " + p.Zone + " see it"
	case p.Group != "":
		return "as gateways of " + p.Group + " see it"
	}
	return ""
}
