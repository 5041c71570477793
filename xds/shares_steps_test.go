package xds

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/loads"
	"github.com/kongdao/kongdao/xds/serve"
)

// TestTakenBeforeGiven: what a gateway loses is not given to another before it has
// acknowledged that, and whoever is silent keeps things as they are.
func TestTakenBeforeGiven(t *testing.T) {
	c := DefaultConfig()
	c.FirstReadiness = 0
	s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := &api.Function{Metadata: api.Metadata{Name: "feed"}}
	f.Spec.Routes = []api.Route{{Path: "/feed"}}
	f.Spec.Revisions = []api.Revision{{Name: "r1", Endpoints: []api.Endpoint{{Address: "127.0.0.1:9101"}}}}
	f.Spec.Capacity.PerPodQPS = 300
	f.Spec.Access = &api.Access{Public: true}
	if err := s.Apply(context.Background(), functions(f)); err != nil {
		t.Fatal(err)
	}
	members := []serve.Member{{Node: "a", Group: serve.DefaultGroup}, {Node: "b", Group: serve.DefaultGroup}}
	s.gateways(members)
	s.publishOnce(context.Background(), s.lines[serve.DefaultGroup])

	report := func(node string, admitted, refused uint64) {
		s.loaded(loads.Report{
			Node: node, Clusters: map[string]loads.Load{"feed/r1": {Requests: admitted, Took: time.Second}},
			Refused: map[string]uint64{"feed": refused},
		})
	}
	parts := func() (a, b float64) {
		for _, x := range s.Shares("feed") {
			if x.Node == "a" {
				a = x.Part
			} else {
				b = x.Part
			}
		}
		return a, b
	}
	for range 3 {
		report("a", 150, 330)
	}
	s.balance(time.Now())
	if a, b := parts(); a != 0.5 || b != 0.5 {
		t.Errorf("b has not reported, and parts are %v and %v", a, b)
	}
	for range 3 {
		report("b", 30, 0)
	}
	s.shares.looked = time.Time{}
	s.balance(time.Now())
	a, b := parts()
	if a != 0.5 || b > 0.2 {
		t.Errorf("first b loses: %v and %v", a, b)
	}
	s.publishOnce(context.Background(), s.lines[serve.DefaultGroup])
	s.balance(time.Now().Add(time.Minute))
	if now, _ := parts(); now != a {
		t.Errorf("a was given %v before b has said that it knows", now)
	}
	got := s.lines[serve.DefaultGroup].world.Function("feed")
	if got.At("a").Cost != 6667 || got.At("b").Cost < 15_000 || got.Cost != 6667 {
		t.Errorf("costs at a %d, at b %d, elsewhere %d", got.At("a").Cost, got.At("b").Cost, got.Cost)
	}

	// A third gateway comes in between: what is published adds up to the limit.
	s.gateways(append(members, serve.Member{Node: "c", Group: serve.DefaultGroup}))
	sum := 0.0
	for _, x := range s.Shares("feed") {
		sum += x.Part
	}
	if sum < 0.999 || sum > 1.001 {
		t.Errorf("parts of three add up to %v", sum)
	}
	s.gateways(members[:1])
	s.mu.Lock()
	s.fleet.grace = 0
	s.mu.Unlock()
	s.recount(time.Now().Add(time.Second))
	if a, _ := parts(); a != 1 {
		t.Errorf("the one that is left has %v", a)
	}
}
