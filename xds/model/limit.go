package model

import "math"

// TokensPerSecond is every bucket's inflow. A request that costs
// TokensPerSecond/rate tokens can therefore pass rate times a second.
const TokensPerSecond = 1_000_000

// Tier is a bucket size. Buckets belong to the listener, which never changes
// because of functions, so there is a small fixed choice of sizes: a bucket must
// hold at least one request, and every request it holds beyond that is a burst
// that pods get on top of their rate.
type Tier struct {
	Key   string  // of the descriptor, and of the route's metadata
	Above float64 // slowest rate that the tier is for, requests a second at one gateway
	Burst uint32  // tokens that the bucket holds: Burst/1e6 of a second's requests
}

// Tiers are all bucket sizes, for fast functions first. The first one keeps a pod
// within 2 % of its rate in any one second; where that would be too few requests for
// chance, which has them come in twos and threes, buckets are larger.
func Tiers() [6]Tier {
	return [...]Tier{
		{"fn_fast", 500, 20_000},
		{"fn", 100, 30_000},
		{"fn_slow1", 30, 100_000},
		{"fn_slow2", 10, 300_000},
		{"fn_slow3", 3, 1_000_000},
		{"fn_slow4", 0, 5_000_000},
	}
}

// tierOf picks the tier for functions with this cost. A function stays in a tier
// that is too fast for it as long as one request fits: the bucket of another tier
// is full, so a limit that went to and fro between two tiers would admit the burst
// of one of them each time. Towards faster tiers it moves at once; the way back is
// a factor of three, so nothing swings over it by chance.
//
// depth is how many requests the bucket should hold, at the best; it is kept as long
// as it holds half as many.
func tierOf(cost uint32, depth int, previous Tier) Tier {
	tiers := Tiers()
	natural := len(tiers) - 1
	for i, t := range tiers {
		if float64(cost)*t.Above <= TokensPerSecond && t.holds(cost, depth) {
			natural = i
			break
		}
	}
	for _, t := range tiers[:natural] {
		if t.Key == previous.Key && t.holds(cost, (depth+1)/2) {
			return t
		}
	}
	return tiers[natural]
}

func (t Tier) holds(cost uint32, requests int) bool {
	return int64(cost)*int64(requests) <= int64(t.Burst)
}

// classDepth is how many requests the bucket of a function with classes should
// hold. What a class leaves to those above it is a part of the bucket, and must last
// for requests that come at the same time by chance. With 30 requests in the bucket
// a class that asks for half of the limit is refused 1 in 10,000 times, whatever the
// others ask for; with 9 it was 1 in 25.
const classDepth = 20

// tier is the bucket for requests of which the dearest costs this much.
func (f *Function) tier(dearest uint32, previous Tier) Tier {
	if !f.Ranked || f.Limit <= 0 {
		return tierOf(dearest, 1, previous)
	}
	deep := tierOf(f.Cost, classDepth, previous)
	if fits := tierOf(dearest, 1, previous); fits.Burst > deep.Burst {
		return fits
	}
	return deep
}

// cost is what one request takes of a bucket at one gateway, when gateways like it,
// so many of them, let rate requests a second through together; 1, which is next to
// nothing, when rate is 0.
// It rounds up, so that rounding never admits more than rate. A rate below one
// request in five seconds is treated as that: a cost above the bucket's size
// would refuse every request.
func cost(rate, gateways float64) uint32 {
	if rate <= 0 {
		return 1
	}
	tiers := Tiers()
	largest := float64(tiers[len(tiers)-1].Burst)
	c := math.Ceil(TokensPerSecond * gateways / rate)
	return uint32(math.Min(math.Max(c, 1), largest))
}

// functionLimit is the rate F of a function whose traffic is split over
// revisions, requests a second:
//
//	F = min over revisions r with share s_r > 0 of C_r / s_r
//
// where C_r is the revision's capacity in requests a second and s_r its part of
// the requests, from 0 to 1. At F no revision gets more than C_r, and at least
// one gets exactly C_r. 0 when nothing is limited.
func functionLimit(split []Share) float64 {
	total := 0
	for _, s := range split {
		total += s.Weight
	}
	limit := math.Inf(1)
	for _, s := range split {
		if s.Revision.Capacity > 0 && s.Weight > 0 {
			limit = math.Min(limit, s.Revision.Capacity*float64(total)/float64(s.Weight))
		}
	}
	if math.IsInf(limit, 1) {
		return 0
	}
	return limit
}

// meet tells each revision how much of the function's requests it meets at most. A
// revision that requests are sent to by their headers may meet as much as it takes.
func (f *Function) meet() {
	total := 0
	for _, s := range f.Split {
		total += s.Weight
	}
	for _, r := range f.Revisions {
		r.fleet = f.fleet
	}
	for _, s := range f.Split {
		s.Revision.demand = f.Limit * float64(s.Weight) / float64(max(total, 1))
	}
	for _, m := range f.Matches {
		m.Revision.demand = m.Revision.Capacity
	}
}

// revisionCapacity is the rate C of a revision whose pods take q requests a
// second each:
//
//	C = min over priorities p with load share l_p > 0 of C_p / l_p
//	C_p = q * sum(w_i) / max(w_i)    over the ready pods i of the priority
//
// where w_i is the weight of the pod's zone: round robin gives a pod w_i/sum(w)
// of the priority's requests, so the pod with the largest weight is full first.
// Without a ready pod it is q: Envoy then says 503, which is the truth, and not
// 429. 0 when q is 0.
func revisionCapacity(pods []*Pod, q float64) float64 {
	if q <= 0 {
		return 0
	}
	levels := priorities(pods)
	shares := loadShares(levels)
	capacity := math.Inf(1)
	for i, l := range levels {
		if shares[i] > 0 && l.ready > 0 {
			capacity = math.Min(capacity, q*l.sum/l.largest/shares[i])
		}
	}
	if math.IsInf(capacity, 1) {
		return q
	}
	return capacity
}

// level is what counts of the pods of one priority.
type level struct {
	total, ready int
	sum, largest float64 // weights of the ready pods
}

// priorities counts the pods in rotation by priority, densely from 0: Envoy wants
// no gaps, and a gap means the same as no priority there at all.
func priorities(pods []*Pod) []level {
	var levels []level
	rank := Ranks(pods)
	for _, p := range pods {
		if !p.InRotation() {
			continue
		}
		i := rank[p.Priority]
		for len(levels) <= i {
			levels = append(levels, level{})
		}
		l := &levels[i]
		l.total++
		if p.Ready {
			l.ready++
			l.sum += float64(p.Weight)
			l.largest = math.Max(l.largest, float64(p.Weight))
		}
	}
	return levels
}

// overprovisioning is Envoy's factor in percent: a priority sends requests on to
// the next one when less than 1/1.4 of its pods are ready.
const overprovisioning = 140

// loadShares is Envoy's own arithmetic for the part of the requests that each
// priority gets, in whole percents as there: a priority's health is the percentage
// of ready pods times 1.4, at most 100; each priority takes its health of what is
// left; if all healths together stay below 100, they are scaled up.
func loadShares(levels []level) []float64 {
	health := make([]int, len(levels))
	sum := 0
	for i, l := range levels {
		if l.total > 0 {
			health[i] = min(100, overprovisioning*l.ready/l.total)
		}
		sum += health[i]
	}
	shares := make([]float64, len(levels))
	total := min(100, sum)
	if total == 0 {
		return shares
	}
	left, first := 100, -1
	for i, h := range health {
		load := min(left, h*100/total)
		shares[i] = float64(load)
		left -= load
		if first < 0 && load > 0 {
			first = i
		}
	}
	shares[first] += float64(left) // what rounding left over goes to the first one
	for i := range shares {
		shares[i] /= 100
	}
	return shares
}
