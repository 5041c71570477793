package api

import (
	"cmp"
	"slices"
	"strings"
)

// DefaultTenant is billed for resources that name no tenant.
const DefaultTenant = "default"

// resource is what all kinds have in common.
type resource interface {
	kind() string
	meta() *Metadata
	check(r *report)
	addTo(s *Set)
}

// Merge joins sets into one. Resources are shared, not copied.
func Merge(sets ...Set) Set {
	var out Set
	for _, s := range sets {
		out.Functions = append(out.Functions, s.Functions...)
		out.Zones = append(out.Zones, s.Zones...)
		out.GatewayGroups = append(out.GatewayGroups, s.GatewayGroups...)
		out.Consumers = append(out.Consumers, s.Consumers...)
		out.Limits = append(out.Limits, s.Limits...)
		out.AlertRules = append(out.AlertRules, s.AlertRules...)
		out.Robots = append(out.Robots, s.Robots...)
		out.Channels = append(out.Channels, s.Channels...)
		out.Scenarios = append(out.Scenarios, s.Scenarios...)
		out.Certificates = append(out.Certificates, s.Certificates...)
		out.TrafficSwitches = append(out.TrafficSwitches, s.TrafficSwitches...)
		out.People = append(out.People, s.People...)
		out.Teams = append(out.Teams, s.Teams...)
		out.OnCalls = append(out.OnCalls, s.OnCalls...)
		out.Broken = append(out.Broken, s.Broken...)
	}
	out.sort()
	return out
}

// Len is the number of resources.
func (s Set) Len() int { return len(s.resources()) }

// resources are all of the set, kind by kind.
func (s Set) resources() []resource {
	var all []resource
	all = appendAll(all, s.Functions)
	all = appendAll(all, s.Zones)
	all = appendAll(all, s.GatewayGroups)
	all = appendAll(all, s.Consumers)
	all = appendAll(all, s.Limits)
	all = appendAll(all, s.AlertRules)
	all = appendAll(all, s.Robots)
	all = appendAll(all, s.Channels)
	all = appendAll(all, s.Scenarios)
	all = appendAll(all, s.Certificates)
	all = appendAll(all, s.TrafficSwitches)
	all = appendAll(all, s.People)
	all = appendAll(all, s.Teams)
	return appendAll(all, s.OnCalls)
}

func appendAll[R resource](all []resource, more []R) []resource {
	for _, r := range more {
		all = append(all, r)
	}
	return all
}

func (s *Set) sort() {
	sortByName(s.Functions)
	sortByName(s.Zones)
	sortByName(s.GatewayGroups)
	sortByName(s.Consumers)
	sortByName(s.Limits)
	sortByName(s.AlertRules)
	sortByName(s.Robots)
	sortByName(s.Channels)
	sortByName(s.Scenarios)
	sortByName(s.Certificates)
	sortByName(s.TrafficSwitches)
	sortByName(s.People)
	sortByName(s.Teams)
	sortByName(s.OnCalls)
	slices.Sort(s.Broken)
}

// sortByName orders by name, and by place where names are equal, so that the
// order does not depend on that of the files.
func sortByName[R resource](rs []R) {
	slices.SortStableFunc(rs, func(a, b R) int {
		x, y := a.meta(), b.meta()
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Source.File, y.Source.File), cmp.Compare(x.Source.Line, y.Source.Line))
	})
}

func (m *Metadata) meta() *Metadata { return m }

func (*Function) kind() string     { return KindFunction }
func (*Zone) kind() string         { return KindZone }
func (*GatewayGroup) kind() string { return KindGatewayGroup }
func (*Consumer) kind() string     { return KindConsumer }
func (*Limit) kind() string        { return KindLimit }
func (*AlertRule) kind() string    { return KindAlertRule }
func (*Robot) kind() string        { return KindRobot }
func (*Scenario) kind() string     { return KindScenario }

func (f *Function) addTo(s *Set)     { s.Functions = append(s.Functions, f) }
func (z *Zone) addTo(s *Set)         { s.Zones = append(s.Zones, z) }
func (g *GatewayGroup) addTo(s *Set) { s.GatewayGroups = append(s.GatewayGroups, g) }
func (c *Consumer) addTo(s *Set)     { s.Consumers = append(s.Consumers, c) }
func (l *Limit) addTo(s *Set)        { s.Limits = append(s.Limits, l) }
func (a *AlertRule) addTo(s *Set)    { s.AlertRules = append(s.AlertRules, a) }
func (rb *Robot) addTo(s *Set)       { s.Robots = append(s.Robots, rb) }
func (s *Scenario) addTo(set *Set)   { set.Scenarios = append(set.Scenarios, s) }
