package model

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kongdao/kongdao/api"
)

// TestLiftMovesSharesAlone: of pods that may stand anywhere the lifted one gets its
// factor against the others of its zone, from every zone; limits stay as they were.
func TestLiftMovesSharesAlone(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		rev := &Revision{Pods: randomPods(r), fleet: randomFleet(r)}
		rev.Capacity = revisionCapacity(rev.Pods, 1)
		if len(rev.Pods) == 0 {
			continue
		}
		i, factor := r.IntN(len(rev.Pods)), 0.5+3*r.Float64()
		even := [][]float64{rev.PodShares(), plan(rev, ""), plan(rev, "0")}
		rate := rev.PodRate()
		rev.Pods[i].Lift = factor
		if got := revisionCapacity(rev.Pods, 1); got != rev.Capacity || rev.PodRate() != rate {
			t.Fatalf("seed %d: capacity %v, it was %v", seed, got, rev.Capacity)
		}
		for k, lifted := range [][]float64{rev.PodShares(), plan(rev, ""), plan(rev, "0")} {
			sum, was := 0.0, 0.0
			for j := range lifted {
				sum, was = sum+lifted[j], was+even[k][j]
				same := j != i && rev.Pods[j].Priority == rev.Pods[i].Priority && even[k][i] > 0 && even[k][j] > 0
				if want := factor * even[k][i] / even[k][j]; same && math.Abs(lifted[i]/lifted[j]/want-1) > 1e-9 {
					t.Fatalf("seed %d: pod %d gets %v times what %d gets, want %v", seed, i, lifted[i]/lifted[j], j, want)
				}
			}
			if math.Abs(sum-was) > 1e-9 {
				t.Fatalf("seed %d: shares add up to %v, not %v", seed, sum, was)
			}
		}
	}
}

func plan(r *Revision, zone string) []float64 {
	p, _ := r.From(zone)
	return p.Shares
}

// TestLiftIsAChange: a World that differs by a lift has another Function, and the same
// one when it does not; the limit is the same.
func TestLiftIsAChange(t *testing.T) {
	in := Input{Ready: map[string]bool{"127.0.0.1:1": true, "127.0.0.1:2": true}, Touched: map[string]bool{}}
	in.Set = api.Set{Functions: []*api.Function{{Metadata: api.Metadata{Name: "feed"}, Spec: api.FunctionSpec{
		Routes:    []api.Route{{Path: "/feed"}},
		Revisions: []api.Revision{{Name: "r1", Endpoints: []api.Endpoint{{Address: "127.0.0.1:1"}, {Address: "127.0.0.1:2"}}}},
		Capacity:  api.Capacity{PerPodQPS: 100},
	}}}}
	in.Previous = Build(in)
	was := in.Previous.Function("feed")
	in.Lifts = []Lift{{"feed", "127.0.0.1:2", 2}}
	w := Build(in)
	f := w.Function("feed")
	if f == was || f.Revisions[0].Pods[1].Lift != 2 || f.Limit != was.Limit || f.Same(was) {
		t.Fatalf("%+v", f.Revisions[0].Pods[1])
	}
	if got := f.Revisions[0].PodShares(); math.Abs(got[1]-2./3) > 1e-9 {
		t.Errorf("shares %v", got)
	}
	in.Previous = w
	if Build(in).Function("feed") != f {
		t.Error("nothing changed, and the function is another one")
	}
	in.Lifts = nil
	if f := Build(in).Function("feed"); f.Revisions[0].Pods[1].Lift != 0 {
		t.Error("the lift stays")
	}
}
