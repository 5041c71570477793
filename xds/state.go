package xds

import (
	"time"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
)

// State is what the control plane knows and wants at one moment.
type State struct {
	Functions  []FunctionState   `json:"functions"` // sorted by name
	Zones      []ZoneState       `json:"zones"`     // sorted by name
	Gateways   []GatewayState    `json:"gateways"`  // sorted by node
	Rejections []serve.Rejection `json:"rejections"`
	Rollout    *RolloutState     `json:"rollout,omitempty"` // resources that only canary groups have so far
	Fault      string            `json:"fault,omitempty"`   // why the last change, or a part of it, was not published
	// Quarantined are functions and routes that are answered by 503, sorted by name.
	Quarantined []Quarantine `json:"quarantined"`
	// Canary is "up", "away" or "missing"; empty: none is wanted.
	Canary string `json:"canary,omitempty"`

	Certificates []CertificateState `json:"certificates"` // sorted by name; none without an entrance with TLS
}

// FunctionState is one function.
type FunctionState struct {
	Name    string     `json:"name"`
	Limit   float64    `json:"limit"` // requests a second over all gateways; 0: not limited
	Cost    uint32     `json:"cost"`  // of an ordinary request, millionths of a second
	Pods    []PodCount `json:"pods"`  // in the order of revisions and pods
	Pinned  []string   `json:"pinned"`
	Invalid string     `json:"invalid,omitempty"` // why it is not served
	// Lifted are pods that get more calls than their share, to see what they can take.
	Lifted []LiftState `json:"lifted,omitempty"`

	// Shares are the parts of the limit, by gateway; none where it was never called.
	Shares []ShareState `json:"shares,omitempty"`
}

// PodCount counts the pods of a revision in a zone.
type PodCount struct {
	Revision string `json:"revision"`
	Zone     string `json:"zone"`
	Total    int    `json:"total"`
	Wanted   int    `json:"wanted"` // in rotation, ready or not: neither drained nor pinned
	Ready    int    `json:"ready"`  // and in rotation: neither drained nor pinned
}

// ZoneState is one zone.
type ZoneState struct {
	Name     string `json:"name"`
	Priority uint32 `json:"priority"`
	Weight   int    `json:"weight"` // percent; 0: drained
	Pods     int    `json:"pods"`
	Ready    int    `json:"ready"`

	// Shift is what the zone was left of its share by hand, percent, and Until when
	// it has it again; nil: never, or it has.
	Shift int        `json:"shift"`
	Until *time.Time `json:"until,omitempty"`
}

// GatewayState is one connected gateway.
type GatewayState struct {
	serve.Gateway
	Faulty bool `json:"faulty"` // silent for longer than the threshold
	// Refuses is what of its group's configuration the gateway does not take, and
	// Quarantined what no gateway of the group serves, sorted by name.
	Refuses     []Difference `json:"refuses"`
	Quarantined []Quarantine `json:"quarantined"`
}

// State describes the last published Worlds and the gateways.
func (s *Server) State() State {
	s.mu.Lock()
	worlds := s.worlds()
	state := State{Rejections: append([]serve.Rejection{}, s.reject...), Certificates: s.certificates.state()}
	if _, fault := s.reached(0); fault != nil {
		state.Fault = fault.Error()
	}
	state.Quarantined = s.quarantinedNow()
	shares := s.calledShares()
	s.mu.Unlock()
	state.Canary = s.canaryState()
	state.Rollout = s.Rollout()
	state.Gateways = s.Gateways()
	zones := map[string]*ZoneState{}
	state.Zones = zonesOf(worlds)
	for i, z := range state.Zones {
		zones[z.Name] = &state.Zones[i]
		state.Zones[i].Shift = s.shift(z.Name)
	}
	for _, f := range functionsOf(worlds) {
		fs := functionState(f)
		fs.Shares = shares[f.Name]
		for _, p := range fs.Pods {
			zones[p.Zone].Pods += p.Total
			zones[p.Zone].Ready += p.Ready
		}
		state.Functions = append(state.Functions, fs)
	}
	return state
}

func functionState(f *model.Function) FunctionState {
	fs := FunctionState{Name: f.Name, Limit: f.Limit, Cost: f.Cost, Invalid: f.Invalid, Pinned: []string{}}
	for _, r := range f.Revisions {
		at := map[string]int{} // zone to index in fs.Pods
		for _, p := range r.Pods {
			if p.Lift > 0 {
				fs.Lifted = append(fs.Lifted, LiftState{Address: p.Address, Zone: p.Zone, Factor: p.Lift})
			}
			i, ok := at[p.Zone]
			if !ok {
				i = len(fs.Pods)
				at[p.Zone] = i
				fs.Pods = append(fs.Pods, PodCount{Revision: r.Name, Zone: p.Zone})
			}
			fs.Pods[i].Total++
			if !p.InRotation() {
				continue
			}
			fs.Pods[i].Wanted++
			if p.Ready {
				fs.Pods[i].Ready++
			}
		}
	}
	for _, p := range f.Pinned {
		fs.Pinned = append(fs.Pinned, p.Address)
	}
	return fs
}
