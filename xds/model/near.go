package model

import "math"

// Plan is how the gateways of one zone spread a revision's ordinary requests.
// Gateways keep requests in their zone as far as its pods can take them when the
// function is called as often as its limit admits, and send the rest to where there
// is room then:
//
//	x_st = min(1, c_s / (d_s·D))                  for t = s
//	x_st = (1 - x_ss) · r_t / sum(r_u)            for t ≠ s
//	r_t  = c_t - min(c_t, d_t·D)
//
// where x_st is the part of the requests from gateways in zone s that goes to pods
// in zone t, d_s the part of the limit that gateways in s admit, D the rate that
// they admit of this revision in all, and c_t the rate that the ready pods of t
// take. No pod is given more than its rate then, however unevenly gateways and pods
// are spread, for sum_s(d_s·D·x_st) ≤ c_t; and gateways admit no more than that.
//
// Zones of another priority than the first get what Envoy's arithmetic gives them,
// see loadShares, and that is spread in the same way.
type Plan struct {
	Shares []float64 // of each pod, from 0 to 1, in the order of Pods; all 0: no pod is ready
	Ranks  []int     // of each pod: 0 takes requests, the others stand by in this order; -1: not in rotation
}

// negligible is a part of the requests that is not worth a connection.
const negligible = 1e-4

// From is the plan of gateways in a zone; the empty zone is nowhere. ok is false
// when there is no plan: no pod is ready, so what Envoy finds out decides.
func (r *Revision) From(zone string) (p Plan, ok bool) {
	levels := priorities(r.Pods)
	ranks := Ranks(r.Pods)
	p = Plan{Shares: make([]float64, len(r.Pods)), Ranks: make([]int, len(r.Pods))}
	demand := r.load() * revisionCapacity(r.Pods, 1)
	for level, load := range loadShares(levels) {
		if load == 0 || levels[level].ready == 0 {
			continue
		}
		part := r.spread(zone, level, levels[level], load*demand)
		for i, pod := range r.Pods {
			if pod.takes(ranks, level) {
				p.Shares[i] = load * part[pod.Zone] * pod.part()
				ok = ok || p.Shares[i] > 0
			}
		}
	}
	p.rank(r.Pods, ranks)
	return p, ok
}

// takes tells whether the pod takes requests of a level's.
func (p *Pod) takes(ranks map[uint32]int, level int) bool {
	return p.InRotation() && p.Ready && ranks[p.Priority] == level
}

// spread is the part of a level's requests that one unit of weight gets, by zone,
// from gateways in a zone. Demand is in pods.
func (r *Revision) spread(zone string, level int, l level, demand float64) map[string]float64 {
	ranks := Ranks(r.Pods)
	weight, room := map[string]float64{}, map[string]float64{} // c_t in units of weight, r_t in pods
	for _, p := range r.Pods {
		if p.takes(ranks, level) {
			weight[p.Zone] += float64(p.Weight)
		}
	}
	free := 0.0
	for t, w := range weight {
		c := w / l.largest
		room[t] = max(0, c-r.part(t)*demand)
		free += room[t]
	}
	part := map[string]float64{}
	rest := 1.0
	if own := r.part(zone) * demand; own > 0 && weight[zone] > 0 {
		part[zone] = math.Min(1, weight[zone]/l.largest/own)
		rest -= part[zone]
	}
	for t := range weight {
		switch {
		case rest < negligible:
		case free < negligible: // full to the brim, or rounding
			part[t] += rest * weight[t] / l.sum
		default:
			part[t] += rest * room[t] / free
		}
	}
	for t, w := range weight {
		part[t] /= w
	}
	return part
}

// part is the part of the limit that gateways in a zone admit.
func (r *Revision) part(zone string) float64 {
	if r.fleet == nil || zone == "" {
		return 0
	}
	return r.fleet.Zones[zone]
}

// load is the part of the revision's capacity that gateways admit at most.
func (r *Revision) load() float64 {
	if r.Capacity <= 0 || r.demand <= 0 {
		return 1
	}
	return math.Min(1, r.demand/r.Capacity)
}

// rank puts pods with requests first, and the others behind, those of the first
// priority before those of the next.
func (p *Plan) rank(pods []*Pod, ranks map[uint32]int) {
	used := map[int]bool{}
	total := 0.0
	for _, share := range p.Shares {
		total += share
	}
	for i, pod := range pods {
		switch {
		case !pod.InRotation():
			p.Ranks[i] = -1
		case p.Shares[i] > 0 && total > 0:
			p.Ranks[i] = 0
		default:
			p.Ranks[i] = 1 + ranks[pod.Priority]
		}
		if p.Ranks[i] >= 0 {
			used[p.Ranks[i]] = true
		}
		if total > 0 {
			p.Shares[i] /= total // whole percents of priorities do not always add up
		}
	}
	p.close(used)
}

// close closes gaps, which Envoy does not take.
func (p *Plan) close(used map[int]bool) {
	for i, rank := range p.Ranks {
		dense := 0
		for below := range rank {
			if used[below] {
				dense++
			}
		}
		if rank > 0 {
			p.Ranks[i] = dense
		}
	}
}
