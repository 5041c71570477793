package app

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
	"github.com/kongdao/kongdao/xds"
)

// TestLiftIsForgotten: a pod that nobody asks about has its share again, and whoever
// lifted it is told; one that is held keeps it.
func TestLiftIsForgotten(t *testing.T) {
	cfg := xds.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	server, err := xds.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	testkit.Must(t, err)
	defer server.Close()
	testkit.Must(t, server.Apply(t.Context(), api.Set{Functions: []*api.Function{{
		Metadata: api.Metadata{Name: "feed"},
		Spec:     api.FunctionSpec{Revisions: []api.Revision{{Name: "r1", Endpoints: []api.Endpoint{{Address: "127.0.0.1:1"}, {Address: "127.0.0.1:2"}}}}},
	}}}))
	s := &System{xds: server, log: slog.New(slog.DiscardHandler)}
	if _, err := s.beginLift("none", "127.0.0.1:1"); err == nil {
		t.Error("a function that is not there is lifted")
	}
	l, err := s.beginLift("feed", "127.0.0.1:1")
	testkit.Must(t, err)
	if _, err := s.beginLift("feed", "127.0.0.1:1"); err == nil {
		t.Error("it is lifted twice")
	}
	testkit.Must(t, l.change(2))
	testkit.Must(t, l.hold())
	l.held.Reset(time.Millisecond) // as if the leash were over
	testkit.Eventually(t, "it has its share", func() bool { return server.Lift("feed", "127.0.0.1:2", 1) == nil })
	server.EndLift("feed", "127.0.0.1:2")
	if l.change(2) == nil || l.hold() == nil || l.end() {
		t.Error("a lift that is over goes on")
	}
	l, err = s.beginLift("feed", "127.0.0.1:2")
	testkit.Must(t, err)
	if !l.end() {
		t.Error("it was over")
	}
}
