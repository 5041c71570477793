package relay

import (
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// resources are what was accepted, by type and name.
type resources map[string]map[string]*discovery.Resource

// complete marks a response that holds all there is of its type.
const complete = "complete"

// take applies an accepted response.
func (all resources) take(r *discovery.DeltaDiscoveryResponse) {
	byName := all[r.GetTypeUrl()]
	if byName == nil || r.GetSystemVersionInfo() == complete {
		byName = map[string]*discovery.Resource{}
		all[r.GetTypeUrl()] = byName
	}
	for _, x := range r.GetResources() {
		byName[x.GetName()] = x
	}
	for _, name := range r.GetRemovedResources() {
		delete(byName, name)
	}
}

// prune drops what nobody takes back: names that were asked for and are not there,
// and endpoints of clusters that are gone.
func (all resources) prune() {
	for typeURL, byName := range all {
		for name, r := range byName {
			orphan := typeURL == resource.EndpointType && all[resource.ClusterType][name] == nil
			if r.GetResource() == nil || orphan {
				delete(byName, name)
			}
		}
	}
}
