package translate

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate/chaintest"
)

// checkChains wants that no request misses a filter that the route needs where it
// ends, and that no route to pods which a right is needed for lacks the filter that
// asks for it.
func checkChains(t *testing.T, w *model.World, r *Resources) {
	t.Helper()
	filters, err := chaintest.Filters(r.Listeners[ListenerName])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Routes {
		for _, p := range chaintest.Problems(c, filters) {
			t.Error(p)
		}
		for _, v := range c.GetVirtualHosts() {
			for _, r := range v.GetRoutes() {
				checkGuarded(t, w, r, chaintest.Chain(c, v, r, filters))
			}
		}
	}
}

func checkGuarded(t *testing.T, w *model.World, r *route.Route, chain []string) {
	t.Helper()
	fields := r.GetMetadata().GetFilterMetadata()[Namespace].GetFields()
	f := w.Function(fields[keyFunction].GetStringValue())
	to := r.GetRoute()
	if f == nil || to == nil || to.GetCluster() == nowhere || isPinned(f, to) {
		return
	}
	right := model.Call
	if fields[keyChosen] != nil {
		right = model.NameRevision
	}
	if f.Access.Open(right) {
		return
	}
	if !slices.Contains(chain, accessFilter) || r.GetTypedPerFilterConfig()[accessFilter] == nil {
		t.Errorf("route %s of %s leads to pods without asking who calls", r.GetName(), f.Name)
	}
}

// TestChainsAreWhole holds the golden inputs against checkChains.
func TestChainsAreWhole(t *testing.T) {
	for _, name := range goldenInputs(t) {
		w := world(t, name)
		checkChains(t, w, translated(t, w))
	}
}

// TestWildcardsHaveAllFilters: what is looked up among wildcards, or finds nothing,
// has the chain of no route, so nothing may be off there.
func TestWildcardsHaveAllFilters(t *testing.T) {
	for _, name := range goldenInputs(t) {
		r := translated(t, world(t, name))
		filters, err := chaintest.Filters(r.Listeners[ListenerName])
		if err != nil {
			t.Fatal(err)
		}
		c := r.Routes[AnyHost]
		for _, v := range c.GetVirtualHosts() {
			for _, route := range v.GetRoutes() {
				if chain := chaintest.Chain(c, v, route, filters); !slices.Equal(chain, filters) {
					t.Errorf("%s, route %s has %v, want %v", v.GetName(), route.GetName(), chain, filters)
				}
			}
		}
	}
}

// TestChainIsShort: a function that asks for nothing has three filters.
func TestChainIsShort(t *testing.T) {
	r := translated(t, world(t, "testdata/routes"))
	filters, err := chaintest.Filters(r.Listeners[ListenerName])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range optionalFilters() {
		if !slices.Contains(filters, name) {
			t.Errorf("%s is not on the listener, and Envoy would refuse the routes", name)
		}
	}
	c := (&translator{Config: Config{Shards: 1}}).frame("shard-0")
	want := []string{revisionFilter, "envoy.filters.http.local_ratelimit", "envoy.filters.http.router"}
	if chain := chaintest.Chain(c, &route.VirtualHost{}, &route.Route{}, filters); !slices.Equal(chain, want) {
		t.Errorf("a plain route has %v, want %v", chain, want)
	}
}

// TestMissingFilterIsSeen breaks what translate made, setting by setting, and wants
// chaintest to notice each time.
func TestMissingFilterIsSeen(t *testing.T) {
	r := translated(t, world(t, "testdata/access"))
	filters, err := chaintest.Filters(r.Listeners[ListenerName])
	if err != nil {
		t.Fatal(err)
	}
	tr := &translator{}
	off := tr.pack(&route.FilterConfig{Disabled: true})
	broken := 0
	for _, c := range r.Routes {
		for _, v := range c.GetVirtualHosts() {
			for _, settings := range settingsOf(v) {
				for name, was := range settings {
					settings[name] = off
					if len(chaintest.Problems(c, filters)) == 0 {
						t.Errorf("nobody sees that %s, host %s lacks %s", c.GetName(), v.GetName(), name)
					}
					settings[name] = was
					broken++
				}
			}
		}
	}
	if broken < 10 {
		t.Errorf("only %d settings were broken: the input asks for too little", broken)
	}
}

// settingsOf are the settings of a host's routes.
func settingsOf(v *route.VirtualHost) (all []map[string]*anypb.Any) {
	for _, r := range v.GetRoutes() {
		if len(r.GetTypedPerFilterConfig()) > 0 {
			all = append(all, r.GetTypedPerFilterConfig())
		}
	}
	return all
}

func goldenInputs(t *testing.T) (names []string) {
	t.Helper()
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no inputs", err)
	}
	for _, in := range inputs {
		names = append(names, strings.TrimSuffix(in, ".in.yaml"))
	}
	return names
}
