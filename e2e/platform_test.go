package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// platform is a fleet of functions in three zones, each a process, and the folder
// with its resources.
type platform struct {
	t       *testing.T
	dir     string // resources
	catalog []fleet.Function
	zones   []*fleet.Process
}

// quick are pods that are never what a test waits for.
var quick = fleet.Behaviour{Workers: 32, Mean: 2 * time.Millisecond, Spread: 0.5, MaxQueue: 4096}

// functions are named functions, each on a path of its name, the first with two
// pods in each zone.
func functions(names ...string) []fleet.Function {
	var all []fleet.Function
	for _, name := range names {
		all = append(all, fleet.Function{
			Name: name, Tenant: "e2e", Domain: "e2e", Scenario: "e2e", Path: "/" + name, Route: "/" + name,
			PodsPerZone: 1, Behaviour: quick,
		})
	}
	all[0].PodsPerZone = 2
	return all
}

// newPlatform starts the zones and writes the resources.
func newPlatform(t *testing.T, rates fleet.Rates, catalog ...fleet.Function) *platform {
	t.Helper()
	p := &platform{t: t, dir: filepath.Join(t.TempDir(), "resources"), catalog: catalog}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	for _, spec := range fleet.Specs(catalog, fleet.Zones(), 1) {
		p.zones = append(p.zones, p.startZone(spec))
	}
	p.write(rates)
	return p
}

func (p *platform) startZone(spec fleet.ZoneSpec) *fleet.Process {
	p.t.Helper()
	exe := must(os.Executable())(p.t)
	return must(fleet.Start(p.t.Context(), []string{exe, zoneProcess}, spec))(p.t)
}

// restart brings a killed zone back on the same addresses.
func (p *platform) restart(zone int) { p.zones[zone] = p.startZone(p.zones[zone].Spec) }

// write writes functions.yaml, with the rate of fleet.Feed as given.
func (p *platform) write(rates fleet.Rates) {
	p.t.Helper()
	var specs []fleet.ZoneSpec
	for _, z := range p.zones {
		specs = append(specs, z.Spec)
	}
	b := must(fleet.Resources(p.catalog, specs, rates))(p.t)
	write(p.t, filepath.Join(p.dir, "functions.yaml"), string(b))
}

// pods are the addresses of a function's pods, by zone.
func (p *platform) pods(function string) [][]string {
	all := make([][]string, len(p.zones))
	for i, z := range p.zones {
		for _, pod := range z.Spec.Pods {
			if pod.Function == function {
				all[i] = append(all[i], pod.Address)
			}
		}
	}
	return all
}

// paths are what callers call, by function.
func (p *platform) paths() map[string]string {
	paths := map[string]string{}
	for _, f := range p.catalog {
		paths[f.Name] = f.Path
	}
	return paths
}

func (p *platform) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, z := range slices.Backward(p.zones) {
		z.Stop(ctx)
	}
}
