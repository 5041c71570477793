package api

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// GatewayGroup is a set of gateways that serve the same functions. A gateway says
// which group it is in by its node's cluster, or by kongdao.group in its node's
// metadata; one that names no group that there is belongs to "default", which
// serves all functions unless it is declared.
type GatewayGroup struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     GatewayGroupSpec `yaml:"spec" json:"spec"`
}

// GatewayGroupSpec says what a group serves, and how.
type GatewayGroupSpec struct {
	// A function is served when it is named, or when it fulfils all that is given of
	// tenants and labels. Nothing given: all functions but those of exclusive groups.
	Functions []string          `yaml:"functions" json:"functions"`
	Tenants   []string          `yaml:"tenants" json:"tenants"`
	Labels    map[string]string `yaml:"labels" json:"labels,omitempty"`

	Listen    string   `yaml:"listen" json:"listen,omitempty" want:"an IP address and port such as 0.0.0.0:9100"` // where its gateways take calls; empty: as kongdao.yaml says
	Exclusive bool     `yaml:"exclusive" json:"exclusive"`                                                        // what it selects is served by no group that does not select it too
	Hosts     []string `yaml:"hosts" json:"hosts"`                                                                // routes are reachable under these alone: exact, *.example.com, or *; empty: as the routes say
	AnyMethod bool     `yaml:"anyMethod" json:"anyMethod"`                                                        // routes take every method, whatever they say
	Access    *Access  `yaml:"access" json:"access,omitempty"`                                                    // of functions that have none of their own; nil: closed
	Canary    *Canary  `yaml:"canary" json:"canary,omitempty"`                                                    // the group gets new resources before the others
}

// Canary makes a group the first that new resources go to. The others follow when
// each of its gateways has accepted them and has been well since.
type Canary struct {
	Hold Duration `yaml:"hold" json:"hold"` // how long the gateways have to be well; 0: 10 s
}

// DefaultHold is how long the gateways of a canary group have to be well.
const DefaultHold = Duration(10 * time.Second)

// maxHold bounds a hold: longer ones would keep changes of today for tomorrow.
const maxHold = Duration(time.Hour)

// Selects tells whether the group selects a function. A group that selects nothing
// in particular selects none by this.
func (s GatewayGroupSpec) Selects(f *Function) bool {
	if slices.Contains(s.Functions, f.Name) {
		return true
	}
	if len(s.Tenants) == 0 && len(s.Labels) == 0 {
		return false
	}
	if len(s.Tenants) > 0 && !slices.Contains(s.Tenants, f.tenant()) {
		return false
	}
	for name, value := range s.Labels {
		if f.Labels[name] != value {
			return false
		}
	}
	return true
}

// All tells whether the group takes functions without selecting any.
func (s GatewayGroupSpec) All() bool {
	return len(s.Functions) == 0 && len(s.Tenants) == 0 && len(s.Labels) == 0
}

func (f *Function) tenant() string {
	if f.Tenant == "" {
		return DefaultTenant
	}
	return f.Tenant
}

func (g *GatewayGroup) check(r *report) {
	r.metadata(&g.Metadata)
	r.unique("spec.functions", g.Spec.Functions)
	for i, name := range g.Spec.Tenants {
		r.name(fmt.Sprintf("spec.tenants[%d]", i), name)
	}
	r.unique("spec.tenants", g.Spec.Tenants)
	for i, host := range g.Spec.Hosts {
		if message := wrongHost(host); message != "" {
			r.add(fmt.Sprintf("spec.hosts[%d]", i), "%s", message)
		}
	}
	r.unique("spec.hosts", g.Spec.Hosts)
	if g.Spec.Exclusive && g.Spec.All() {
		r.add("spec.exclusive", "is true for a group of all functions, want functions, tenants or labels that it selects")
	}
	if at, err := netip.ParseAddrPort(g.Spec.Listen); g.Spec.Listen != "" && (err != nil || at.Port() == 0) {
		r.add("spec.listen", "is %s, want an IP address and port such as 0.0.0.0:9100", quote(g.Spec.Listen))
	}
	g.Spec.Access.check(r)
	if c := g.Spec.Canary; c != nil && (c.Hold < 0 || c.Hold > maxHold) {
		r.add("spec.canary.hold", "is %s, want a duration from 0s to %s", c.Hold, maxHold)
	}
}

// groupReferences checks the functions and consumers that a group names.
func (v validation) groupReferences(g *GatewayGroup) {
	for i, name := range g.Spec.Functions {
		v.mustExist(g, fmt.Sprintf("spec.functions[%d]", i), name, v.functions, KindFunction)
	}
	v.accessReferences(g, g.Spec.Access)
}
