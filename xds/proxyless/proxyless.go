package proxyless

import (
	"errors"
	"fmt"
	"slices"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// Delta is what differs between two Worlds for clients, by name. It may contain
// messages that turn out to be equal.
type Delta struct {
	Clusters  map[string]*cluster.Cluster
	Endpoints map[string]*endpoint.ClusterLoadAssignment
	Routes    map[string]*route.RouteConfiguration
	Listeners map[string]*listener.Listener

	Withdrawn []string // functions that are not offered any more, sorted
	Removed   []string // clusters and endpoints that are not any more, sorted
}

// Changes translates what differs from a World before, nil for none. It costs what
// differs.
func Changes(before, w *model.World) (*Delta, error) {
	d := &Delta{
		Clusters: map[string]*cluster.Cluster{}, Endpoints: map[string]*endpoint.ClusterLoadAssignment{},
		Routes: map[string]*route.RouteConfiguration{}, Listeners: map[string]*listener.Listener{},
	}
	var errs []error
	functions, _ := w.Since(before)
	for _, c := range functions {
		was, is := offered(c.Before), offered(c.Now)
		if is {
			errs = append(errs, d.add(c.Now))
		} else if was {
			d.Withdrawn = append(d.Withdrawn, c.Before.Name)
		}
		if was {
			d.remove(c.Before)
		}
	}
	slices.Sort(d.Withdrawn)
	slices.Sort(d.Removed)
	return d, errors.Join(errs...)
}

func offered(f *model.Function) bool { return f != nil && Refusal(f) == "" }

func (d *Delta) add(f *model.Function) error {
	l, err := listenerOf(f.Name)
	if err != nil {
		return fmt.Errorf("listener of %s: %w", f.Name, err)
	}
	d.Listeners[f.Name], d.Routes[f.Name] = l, routesOf(f)
	for name, shares := range clustersOf(f) {
		d.Clusters[name], d.Endpoints[name] = clusterOf(name, f.ConcurrencyAt(100)), endpointsOf(name, shares)
	}
	return nil
}

// clustersOf are a function's clusters with what shares their calls: one of its name
// with all that is shared by weight, and one for each revision that gets some calls
// alone.
func clustersOf(f *model.Function) map[string][]model.Share {
	all := map[string][]model.Share{f.Name: f.Split}
	for _, m := range f.Matches {
		all[m.Revision.Cluster()] = []model.Share{{Revision: m.Revision, Weight: 100}}
	}
	return all
}

// remove notes what a function had and what is not in the Delta.
func (d *Delta) remove(f *model.Function) {
	for name := range clustersOf(f) {
		if d.Clusters[name] == nil {
			d.Removed = append(d.Removed, name)
		}
	}
}
