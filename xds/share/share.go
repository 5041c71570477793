// Package share divides a limit over gateways as one bucket for all of them would:
// in proportion to what they are asked for, admitted or refused. It is pure.
package share

import "math"

// What decides.
const (
	// Room is how much of its part a gateway is to be asked for at most. Requests come
	// by chance: above it some are refused.
	Room = 0.9
	// Floor is the part of an even part that every gateway has in any case, so that
	// whoever comes to one that was idle is served, and seen.
	Floor = 0.1
	// Worth is how far off, in even parts, a part must be to be mended.
	Worth = 0.1
)

// Gateway is what is known of one gateway's part of a limit.
type Gateway struct {
	Part   float64 // now, from 0 to 1
	Demand float64 // what it is asked for, of the whole limit
}

// Divide returns the parts that gateways are to have of a budget, which is 1 when
// nobody else admits anything:
//
//	part_i = f + (budget - n·f) · d_i / sum(d)
//
// where d is what a gateway is asked for, n the number of gateways and f = Floor ·
// budget/n. ok is false when parts may stay as they are: no gateway lacks room, or
// none is far off. The sum is the budget.
func Divide(gateways []Gateway, budget float64) (parts []float64, ok bool) {
	even := budget / float64(len(gateways))
	short, total := false, 0.0
	for _, g := range gateways {
		short = short || g.Demand > Room*g.Part
		total += g.Demand
	}
	if !short {
		return nil, false
	}
	floor := Floor * even
	parts = make([]float64, len(gateways))
	for i, g := range gateways {
		parts[i] = floor + (budget-floor*float64(len(gateways)))*g.Demand/total
		ok = ok || math.Abs(parts[i]-g.Part) > Worth*even
	}
	return parts, ok
}

// Fits tells whether even parts of a budget would leave every gateway room.
func Fits(gateways []Gateway, budget float64) bool {
	for _, g := range gateways {
		if g.Demand > Room*budget/float64(len(gateways)) {
			return false
		}
	}
	return true
}

// Rejoin are the parts after gateways came and went: those that are new get an even
// part, and the others what is left in the proportion they had. before must be
// above 0.
func Rejoin(before map[string]float64, now []string, budget float64) map[string]float64 {
	even := budget / float64(len(now))
	parts, old, left := make(map[string]float64, len(now)), 0.0, budget
	for _, node := range now {
		part, had := before[node]
		if !had {
			parts[node] = even
			left -= even
		}
		old += part
	}
	for _, node := range now {
		if part, had := before[node]; had {
			parts[node] = part / old * left
		}
	}
	return parts
}
