package search

import "math"

// latencies is how long requests took at the rates that were tried.
type latencies struct {
	probes []probed
}

// probed is one probe that counts.
type probed struct {
	rate  float64
	when  float64 // part of the budget that was over
	took  *sketch
	prove bool
}

// What a queue can be read from.
const (
	fewestBase = 300 // requests without much load
	fewestNear = 600 // requests close to the limit
	baseShare  = 0.6 // of the highest rate: below, little waits
	belowShare = 0.85
)

// queue is the model of what was seen; false when that is too little.
func (s *latencies) queue(d drift) (*queue, bool) {
	if len(s.probes) == 0 {
		return nil, false
	}
	unit := s.probes[0].took.unit
	base, near, below := &sketch{unit: unit}, &sketch{unit: unit}, &sketch{unit: unit}
	q := &queue{}
	highest := 0.0
	for _, p := range s.probes {
		highest = max(highest, p.rate)
	}
	groups := map[float64]*sketch{}
	var rates []float64
	for _, p := range s.probes {
		if p.rate <= belowShare*highest {
			below.add(p.took)
		}
		switch {
		case p.rate <= baseShare*highest:
			base.add(p.took)
			q.base += p.rate * float64(p.took.n)
			continue
		case p.prove:
			near.add(p.took)
		}
		at := d.rate(p.rate, p.when)
		if groups[at] == nil {
			groups[at] = &sketch{unit: unit}
			rates = append(rates, at)
		}
		groups[at].add(p.took)
	}
	if near.n == 0 && len(rates) > 0 {
		near.add(groups[rates[len(rates)-1]])
	}
	if base.n < fewestBase || near.n < fewestNear {
		return nil, false
	}
	q.base /= float64(base.n)
	q.unloaded(base.withTail(below).atoms())
	edges := near.edges(cellShares())
	for _, e := range edges {
		q.thresholds = append(q.thresholds, near.edge(e))
	}
	for _, rate := range rates {
		q.groups = append(q.groups, group{rate, groups[rate], groups[rate].cells(edges)})
	}
	return q, true
}

// withTail is s with no more requests above the unit than there were in more requests at
// higher rates, where only more can be.
func (s *sketch) withTail(more *sketch) *sketch {
	late, most := s.late(), more.late()
	if late <= most || most == 0 {
		return s
	}
	out := &sketch{unit: s.unit}
	const fine = 16 // counts are whole
	for i, n := range s.counts {
		f := (1 - most) / (1 - late)
		if i >= sketchBelow {
			f = most / late
		}
		out.counts[i] = int32(math.Round(fine * f * float64(n)))
		out.n += int(out.counts[i])
	}
	return out
}

// late is the share of requests above the unit.
func (s *sketch) late() float64 { return s.above(s.unit) / float64(max(s.n, 1)) }

// unloaded sets S.
func (q *queue) unloaded(atoms []atom) {
	q.atoms = atoms
	square := 0.0
	for _, a := range atoms {
		q.mean += a.mass * a.at
		square += a.mass * a.at * a.at
	}
	q.cv2 = square/(q.mean*q.mean) - 1
}

// cellShares are the shares of requests above the thresholds, close to the limit.
func cellShares() []float64 {
	return []float64{0.7, 0.5, 0.35, 0.22, 0.13, 0.07, 0.035, 0.018, 0.01, 0.005}
}

// edges are the bins that these shares are above.
func (s *sketch) edges(shares []float64) (out []int) {
	for _, share := range shares {
		if e := s.reached(share); len(out) == 0 || e > out[len(out)-1] {
			out = append(out, e)
		}
	}
	return out
}

// cells are the requests below the first edge, between edges, and above the last.
func (s *sketch) cells(edges []int) []float64 {
	out, j := make([]float64, len(edges)+1), 0
	for bin, n := range s.counts {
		for j < len(edges) && bin >= edges[j] {
			j++
		}
		out[j] += float64(n)
	}
	return out
}

// believe says of each bound where the queue crosses it.
func (s *latencies) believe(bounds []Bound, d drift) []belief {
	out := make([]belief, len(bounds))
	q, ok := s.queue(d)
	if !ok {
		return out
	}
	p, ok := q.fit()
	if !ok {
		return out
	}
	for i, b := range bounds {
		out[i] = q.believe(p, b.Limit.Seconds(), 1-b.Quantile)
		if math.IsNaN(out[i].at) {
			out[i] = belief{}
		}
	}
	return out
}
