package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestLoadShares compares with the table in Envoy's documentation of priority
// levels: percent of healthy hosts in P0 and P1, percent of requests to each.
func TestLoadShares(t *testing.T) {
	for _, c := range []struct{ p0, p1, to0, to1 int }{
		{100, 100, 100, 0},
		{72, 72, 100, 0},
		{71, 71, 99, 1},
		{50, 50, 70, 30},
		{25, 100, 35, 65},
		{25, 25, 50, 50},
		{25, 20, 56, 44},
		{0, 100, 0, 100},
		{0, 5, 0, 100},
	} {
		shares := loadShares([]level{{total: 100, ready: c.p0}, {total: 100, ready: c.p1}})
		to0, to1 := int(math.Round(shares[0]*100)), int(math.Round(shares[1]*100))
		if to0 != c.to0 || to1 != c.to1 {
			t.Errorf("%d%% and %d%% healthy: %d and %d, want %d and %d", c.p0, c.p1, to0, to1, c.to0, c.to1)
		}
	}
	if shares := loadShares([]level{{total: 3}, {total: 3}}); shares[0] != 0 || shares[1] != 0 {
		t.Errorf("nobody is ready: %v", shares)
	}
}

// randomPods are up to twelve pods in zones of random priority and weight.
func randomPods(r *rand.Rand) (pods []*Pod) {
	type zone struct {
		priority uint32
		weight   int
	}
	zones := make([]zone, 1+r.IntN(4))
	for i := range zones {
		zones[i] = zone{uint32(r.IntN(3) * 5), []int{0, 1, 10, 50, 100, 100, 100}[r.IntN(7)]}
	}
	for i := range 1 + r.IntN(12) {
		z := r.IntN(len(zones))
		pods = append(pods, &Pod{
			Address: fmt.Sprint(i), Zone: fmt.Sprint(z), Priority: zones[z].priority, Weight: zones[z].weight,
			Ready: r.IntN(4) > 0, Pinned: r.IntN(12) == 0,
		})
	}
	return pods
}

// distribute is what Envoy does with requests to a revision, told independently
// of revisionCapacity: pod by pod.
func distribute(pods []*Pod, rate float64) map[*Pod]float64 {
	ranks := Ranks(pods)
	shares := loadShares(priorities(pods))
	got := map[*Pod]float64{}
	for rank, share := range shares {
		sum := 0.0
		for _, p := range pods {
			if p.InRotation() && p.Ready && ranks[p.Priority] == rank {
				sum += float64(p.Weight)
			}
		}
		for _, p := range pods {
			if p.InRotation() && p.Ready && ranks[p.Priority] == rank {
				got[p] += rate * share * float64(p.Weight) / sum
			}
		}
	}
	return got
}

// TestNoPodGetsMoreThanItsRate: with requests at the limit, any mixture of
// ordinary and matching ones gives no pod more than its rate; and the limit is not
// lower than it must be.
func TestNoPodGetsMoreThanItsRate(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 1))
		q := 1 + r.Float64()*1000
		var split []Share
		var revisions []*Revision
		for i := range 1 + r.IntN(3) {
			rev := &Revision{Name: fmt.Sprint(i), Pods: randomPods(r)}
			rev.Capacity = revisionCapacity(rev.Pods, q)
			revisions = append(revisions, rev)
			split = append(split, Share{rev, 1 + r.IntN(99)})
		}
		gray := revisions[r.IntN(len(revisions))]
		limit := functionLimit(split)
		mix := r.Float64() // part of the bucket that ordinary requests take
		total := 0
		for _, s := range split {
			total += s.Weight
		}
		full, ready := false, true
		for _, s := range split {
			ordinary := limit * float64(s.Weight) / float64(total)
			rate := mix * ordinary
			if s.Revision == gray {
				rate += (1 - mix) * gray.Capacity
			}
			for _, n := range distribute(s.Revision.Pods, rate) {
				if n > q*(1+1e-9) {
					t.Fatalf("seed %d: a pod gets %v, its rate is %v", seed, n, q)
				}
			}
			onlyOrdinary := distribute(s.Revision.Pods, ordinary)
			ready = ready && len(onlyOrdinary) > 0
			for _, n := range onlyOrdinary {
				full = full || n > q*(1-1e-9)
			}
		}
		if ready && !full {
			t.Fatalf("seed %d: limit %v leaves every pod with room", seed, limit)
		}
	}
}

// TestLimitIsMonotone: one more ready pod of the same weight and priority never
// makes a revision take less.
func TestLimitIsMonotone(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		pods := make([]*Pod, 1+r.IntN(10))
		ready := 0
		for i := range pods {
			pods[i] = &Pod{Weight: 100, Ready: r.IntN(2) == 0}
			if pods[i].Ready {
				ready++
			}
		}
		if got, want := revisionCapacity(pods, 10), 10*math.Max(1, float64(ready)); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%d ready pods take %v, want %v", ready, got, want)
		}
	}
}

// TestCostFitsItsTier: every rate has a cost that its bucket can hold, and that
// does not admit more than the rate.
func TestCostFitsItsTier(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 3))
		rate, gateways := math.Pow(10, -2+8*r.Float64()), 1+r.IntN(5)
		c := cost(rate, float64(gateways))
		previous := Tier{}
		if r.IntN(2) == 0 {
			tiers := Tiers()
			previous = tiers[r.IntN(len(tiers))]
		}
		tier := tierOf(c, 1, previous)
		if c < 1 || c > tier.Burst {
			t.Fatalf("rate %v: cost %d does not fit into %d", rate, c, tier.Burst)
		}
		if admitted := TokensPerSecond / float64(c) * float64(gateways); admitted > rate*(1+1e-9) && rate >= 0.2*float64(gateways) && c > 1 {
			t.Fatalf("rate %v: cost %d admits %v", rate, c, admitted)
		}
	}
	if cost(0, 3) != 1 {
		t.Error("no limit has a cost")
	}
}

func TestTierStays(t *testing.T) {
	slow := tierOf(cost(50, 1), 1, Tier{})
	if slow.Key != "fn_slow1" {
		t.Fatalf("50/s is in %s", slow.Key)
	}
	if got := tierOf(cost(20, 1), 1, slow); got != slow {
		t.Errorf("from 50/s down to 20/s the tier became %s", got.Key)
	}
	if got := tierOf(cost(5, 1), 1, slow); got.Key != "fn_slow3" {
		t.Errorf("5/s is in %s", got.Key)
	}
	if got := tierOf(cost(400, 1), 1, slow); got.Key != "fn" {
		t.Errorf("400/s is in %s", got.Key)
	}
}

// TestClassesHaveDeepBuckets: what a class leaves to those above must last for some
// requests, or chance refuses them.
func TestClassesHaveDeepBuckets(t *testing.T) {
	for _, rate := range []float64{2, 10, 30, 100, 300, 1000, 20_000} {
		f := &Function{Limit: rate, Cost: cost(rate, 1), Ranked: true}
		tier := f.tier(f.Cost, Tier{})
		if held := float64(tier.Burst) / float64(f.Cost); held < classDepth && tier.Key != "fn_slow4" {
			t.Errorf("%v/s: the bucket holds %.1f requests", rate, held)
		}
		plain := &Function{Limit: rate, Cost: f.Cost}
		if was := plain.tier(f.Cost, Tier{}); was.Burst > tier.Burst {
			t.Errorf("%v/s: classes have a smaller bucket, %d instead of %d", rate, tier.Burst, was.Burst)
		}
		if got := f.tier(100*f.Cost, Tier{}); 100*f.Cost > got.Burst && got.Key != "fn_slow4" {
			t.Errorf("%v/s: a dear request does not fit", rate)
		}
	}
	f := &Function{Limit: 300, Cost: cost(300, 1), Ranked: true}
	if got := f.tier(f.Cost, Tier{}).Key; got != "fn_slow1" {
		t.Errorf("300/s is in %s", got)
	}
}
