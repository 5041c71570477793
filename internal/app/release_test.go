package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/release"
)

// released is a function whose r2, of this image, may take over from r1.
func released(good, bad, image string) string {
	return fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed}
spec:
  routes: [{path: /feed}]
  revisions:
    - {name: r1, image: "feed:1", endpoints: [{address: %q, zone: za}]}
    - {name: r2, image: %q, endpoints: [{address: %q, zone: za}]}
  traffic: [{revision: r1, weight: 100}]
  release: {revision: r2, steps: [5, 50, 100], interval: 1h, maxErrorIncrease: 1%%}
  access: {public: true, publicRevisions: true}
`, good, image, bad)
}

// TestBadRevisionIsRolledBack releases a revision of which every second call fails
// through a real Envoy, and sends calls until it is gone.
func TestBadRevisionIsRolledBack(t *testing.T) {
	var calls atomic.Int64
	var first atomic.Int64 // nanoseconds
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		first.CompareAndSwap(0, time.Now().UnixNano())
		if calls.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(failing.Close)
	good, bad := pod(t, "good"), strings.TrimPrefix(failing.URL, "http://")
	cfg := testConfig(t)
	write(t, cfg.ResourcesDir, "feed.yaml", released(good, bad, "feed:2"))
	s := start(t, cfg)
	c := caller{t: t, system: s, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: deadline}}
	t.Cleanup(c.client.CloseIdleConnections)
	state := func() release.State {
		t.Helper()
		var f app.Function
		if status := c.api(http.MethodGet, "/functions/feed", nil, &f); status != http.StatusOK {
			t.Fatal(status)
		}
		return f.Release
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		pause := time.NewTicker(5 * time.Millisecond) // about 200 calls a second
		defer pause.Stop()
		for end := time.Now().Add(deadline); !ok(); <-pause.C {
			if time.Now().After(end) {
				t.Fatalf("not in time: %s: %+v", what, state())
			}
			c.call()
		}
	}

	until("the release is rolled back", func() bool {
		s := state()
		return s.Progress != nil && s.Progress.Phase == release.RolledBack
	})
	got := state()
	t.Logf("rolled back %.1f s after the first call of r2, which got %d: %s", float64(got.Progress.Since.UnixNano()-first.Load())/1e9, calls.Load(), got.Progress.Reason)
	if got.Weights.String() != "r1 100%" || got.Progress.Percent != 5 || got.Figures == nil || got.Figures.Revision.Failed == 0 {
		t.Errorf("state: %+v", got)
	}
	// Requests that the gateway took before it knew may still come; then none does.
	before := int64(-1)
	until("no call reaches r2", func() bool {
		was := calls.Load()
		for range 100 {
			c.call()
		}
		before, was = was, calls.Load()
		return was == before
	})

	// At 0 % it can still be called by name.
	was := calls.Load()
	c.call("x-kongdao-revision", "r2")
	if calls.Load() != was+1 {
		t.Error("r2 cannot be called by name")
	}

	// Under its name nothing else may come.
	write(t, cfg.ResourcesDir, "feed.yaml", released(good, bad, "feed:3"))
	var resources app.Resources
	until("the changed revision is refused", func() bool {
		c.api(http.MethodGet, "/resources", nil, &resources)
		return len(resources.Problems) > 0
	})
	if p := resources.Problems[0].String(); !strings.Contains(p, `feed.yaml:8: spec.revisions[1]: is not what was published as "r2"`) || !strings.Contains(p, "such as r3") {
		t.Errorf("problem: %s", p)
	}

	// What gateways should have, with its places.
	var conf app.Config
	if status := c.api(http.MethodGet, "/config", nil, &conf); status != http.StatusOK || len(conf.Groups) != 1 || len(conf.Problems) == 0 {
		t.Errorf("configuration: %d %+v", status, conf)
	}
	if at := conf.Resources["Function"]; len(at) != 1 || at[0].Name != "feed" || !strings.HasSuffix(at[0].Source.String(), "feed.yaml:1") {
		t.Errorf("resources: %+v", conf.Resources)
	}
	if g := conf.Groups[0]; g.Name != "default" || g.Functions != 1 || g.Version == 0 || len(g.Gateways) != 1 {
		t.Errorf("group: %+v", g)
	}
	var gateways app.Gateways
	if status := c.api(http.MethodGet, "/gateways", nil, &gateways); status != http.StatusOK || len(gateways.Gateways) != 1 || gateways.Gateways[0].Warming == nil || gateways.Rejections == nil {
		t.Errorf("gateways: %d %+v", status, gateways)
	}

	// By command.
	command := func(cmd app.ReleaseCommand, want int) (s release.State) {
		t.Helper()
		if status := c.api(http.MethodPut, "/functions/feed/release", cmd, &s); status != want {
			t.Errorf("%+v: %d, want %d", cmd, status, want)
		}
		return s
	}
	if s := command(app.ReleaseCommand{Action: "weight", Revision: "r2", Weight: 100}, http.StatusOK); s.Weights.String() != "r2 100%" {
		t.Errorf("weights: %s", s.Weights)
	}
	was = calls.Load()
	until("r2 has everything", func() bool { return calls.Load() >= was+20 })
	if s := command(app.ReleaseCommand{Action: "rollback"}, http.StatusOK); s.Weights.String() != "r1 100%" {
		t.Errorf("weights: %s", s.Weights)
	}
	command(app.ReleaseCommand{Action: "weight", Revision: "r9", Weight: 5}, http.StatusNotFound)
	command(app.ReleaseCommand{Action: "pause"}, http.StatusConflict)
}
