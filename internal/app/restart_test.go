package app_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/kongdao/kongdao/internal/app"
)

// TestWhatOutlivesARestart: a gateway whose control plane is away, and a control plane
// whose resources are broken, serve as they did before they were started again.
func TestWhatOutlivesARestart(t *testing.T) {
	cfg := testConfig(t)
	cfg.Collector.Source, cfg.Envoy.Canary = "als", false
	cfg.Listen.Gateway, cfg.Listen.XDS, cfg.Listen.ALS = freeAddress(t), freeAddress(t), freeAddress(t)
	write(t, cfg.ResourcesDir, "feed.yaml", feed(pod(t, "a"), pod(t, "b"), pod(t, "c")))
	control, edge := cfg, cfg
	control.DataDir, edge.DataDir = t.TempDir(), t.TempDir()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
	begin := func(part app.Part) *app.System {
		own := control
		if part == app.PartGateway {
			own = edge
		}
		s, err := app.Start(t.Context(), own, slog.New(slog.DiscardHandler), part)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stop := func(s *app.System) {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	first, out := begin(app.PartXDS), begin(app.PartGateway)
	if err := first.WaitLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	status := func(s *app.System) int {
		_, code := (caller{t: t, system: s, client: client}).call()
		return code
	}
	if got := status(out); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	stop(first)
	stop(out)
	out = begin(app.PartGateway)
	if got := status(out); got != http.StatusOK {
		t.Errorf("without a control plane: status %d", got)
	}
	if info, err := os.Stat(filepath.Join(edge.DataDir, "gateway", "accepted.xds")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("what was accepted: %v, %v", info, err)
	}
	write(t, cfg.ResourcesDir, "feed.yaml", "kind: [")
	second := begin(app.PartXDS)
	if got := second.State().Functions; len(got) != 1 || got[0].Name != "feed" {
		t.Errorf("with a broken file: %+v", got)
	}
	(caller{t: t, system: second, client: client}).eventually("the gateway is back", func() bool {
		all := second.State().Gateways
		return len(all) == 1 && all[0].Disk != nil && all[0].Version == all[0].Newest
	})
	if got := status(out); got != http.StatusOK {
		t.Errorf("with a broken file: status %d", got)
	}
	stop(out)
	stop(second)
}
