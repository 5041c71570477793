package model

import (
	"maps"
	"slices"
)

// charge fills in what requests cost at a gateway when so many like it share the
// limit, and returns the dearest that can occur.
func (f *Function) charge(gateways float64) (dearest uint32) {
	f.Cost = cost(f.Limit, gateways)
	dearest = f.Cost
	for _, r := range f.Revisions {
		r.Cost = cost(r.Capacity, gateways)
		if !f.Access.Shut(NameRevision) {
			dearest = max(dearest, r.Cost)
		}
	}
	for i := range f.Matches {
		m := &f.Matches[i]
		m.Cost = m.Revision.Cost
		dearest = max(dearest, m.Cost)
	}
	return dearest
}

// Weighted lists the gateways whose part of the function's limit is not the even
// one, sorted by node.
func (f *Function) Weighted() []string {
	if f.Limit <= 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(f.fleet.Parts))
}

// Part is the part of the function's limit that a gateway admits, from 0 to 1.
func (f *Function) Part(node string) float64 {
	if part, ok := f.fleet.Parts[node]; ok {
		return part
	}
	return 1 / float64(max(f.fleet.Gateways, 1))
}

// At is the function as a gateway serves it: the same one where the gateway admits
// an even part of the limit, else one with other costs.
func (f *Function) At(node string) *Function {
	part, ok := f.fleet.Parts[node]
	if !ok || f.Limit <= 0 {
		return f
	}
	own := f.repriced(part)
	own.Tier = f.tiers[node]
	return own
}

// repriced is a copy whose requests cost what they do at a gateway with this part
// of the limit.
func (f *Function) repriced(part float64) *Function {
	own := *f
	revisions := make(map[*Revision]*Revision, len(f.Revisions))
	own.Revisions = make([]*Revision, len(f.Revisions))
	for i, r := range f.Revisions {
		mine := *r
		own.Revisions[i], revisions[r] = &mine, &mine
	}
	own.Split, own.Matches = slices.Clone(f.Split), slices.Clone(f.Matches)
	for i := range own.Split {
		own.Split[i].Revision = revisions[own.Split[i].Revision]
	}
	for i := range own.Matches {
		own.Matches[i].Revision = revisions[own.Matches[i].Revision]
	}
	own.Shadow = revisions[f.Shadow]
	own.charge(1 / part)
	return &own
}

// tiersOf are the buckets of gateways whose part is not even: a small part has dear
// requests, which must fit.
func (b *builder) tiersOf(f *Function) map[string]Tier {
	if len(f.Weighted()) == 0 {
		return nil
	}
	before := b.previous(f.Name)
	tiers := make(map[string]Tier, len(f.fleet.Parts))
	for node, part := range f.fleet.Parts {
		previous := Tier{}
		if before != nil {
			previous = before.Tier
			if t, ok := before.tiers[node]; ok {
				previous = t
			}
		}
		own := f.repriced(part)
		tiers[node] = own.tier(own.charge(1/part), previous)
	}
	return tiers
}

// At is the rule as a gateway serves it, see Function.At.
func (r *Rule) At(node string) *Rule {
	f := r.Function.At(node)
	if f == r.Function {
		return r
	}
	own := *r
	own.Function = f
	return &own
}

// Weighted tells whether there is a function whose limit is not shared evenly.
func (w *World) Weighted() bool { return w.weighted > 0 }
