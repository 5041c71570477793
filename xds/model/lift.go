package model

// Lift gives one pod of a function more of its ordinary requests than its share, so
// that what it can take shows: each gateway that sends it requests sends it Factor
// times as many as without, compared with the other pods. Nothing else follows: limits
// stay what even shares make them.
type Lift struct {
	Function string
	Address  string
	Factor   float64 // above 0; 1: its share
}

// lift tells pods of theirs.
func (b *builder) lift(f *Function) {
	for _, l := range b.lifts[f.Name] {
		for _, r := range f.Revisions {
			for _, p := range r.Pods {
				if p.Address == l.Address {
					p.Lift = l.Factor
				}
			}
		}
	}
}

// part is the pod's weight, with what it is lifted by. Limits use the weight alone.
func (p *Pod) part() float64 {
	if p.Lift > 0 {
		return float64(p.Weight) * p.Lift
	}
	return float64(p.Weight)
}

// parts are the sums of the parts of ready pods, by level.
func parts(pods []*Pod, ranks map[uint32]int) map[int]float64 {
	sums := map[int]float64{}
	for _, p := range pods {
		if p.InRotation() && p.Ready {
			sums[ranks[p.Priority]] += p.part()
		}
	}
	return sums
}
