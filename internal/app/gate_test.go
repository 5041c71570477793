package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
)

// gated is a function whose r2 may take over as soon as it was measured.
func gated(pods [4]string, measured string) string {
	return fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed, owner: "@li.na"}
spec:
  routes: [{path: /feed}]
  revisions:
    - {name: r1, endpoints: [{address: %q, zone: za}, {address: %q, zone: zb}]}
    - {name: r2, endpoints: [{address: %q, zone: za}, {address: %q, zone: zb}]}
  traffic: [{revision: r1, weight: 100}, {revision: r2, weight: 0}]
  objective: {latency: {p99: 100ms}, success: 99.9%%}
  capacity: {perPodQPS: 100, forecastQPS: 60%s}
  healthCheck: {path: /healthz}
  timeout: 1s
  tryTimeout: 300ms
  idempotent: true
  access: {public: true}
---
apiVersion: kongdao.io/v1
kind: Robot
metadata: {name: oncall}
spec: {url: "http://127.0.0.1:1/robot"}
`, pods[0], pods[1], pods[2], pods[3], measured)
}

// An enforced gate holds back weights that commands give, names what is missing and
// how to mend it, and lets them pass once it is mended.
func TestGateOfARevision(t *testing.T) {
	cfg := testConfig(t)
	cfg.Capacity.Gate = "enforce"
	pods := [4]string{pod(t, "a"), pod(t, "b"), pod(t, "c"), pod(t, "d")}
	write(t, cfg.ResourcesDir, "feed.yaml", gated(pods, ""))
	s := start(t, cfg, app.PartXDS, app.PartAPI)
	c := caller{t: t, system: s, client: &http.Client{Transport: &http.Transport{}, Timeout: deadline}}
	t.Cleanup(c.client.CloseIdleConnections)
	verdict := func(query string) (v struct {
		Revision string `json:"revision"`
		OK       bool   `json:"ok"`
		Checks   []struct {
			Name, Reason, Mend string
			OK                 bool
		} `json:"checks"`
	},
	) {
		c.t.Helper()
		if code := c.api("GET", "/capacity/gate/feed"+query, nil, &v); code != 200 {
			t.Fatalf("status %d", code)
		}
		return v
	}
	c.eventually("all but the measurement is there", func() bool {
		v, missing := verdict("?revision=r2&weight=100"), 0
		for _, check := range v.Checks {
			if !check.OK {
				missing++
			}
		}
		return missing == 4 // capacity, fresh, revision, rate
	})
	if v := verdict(""); v.Revision != "r1" || v.OK || !strings.HasPrefix(v.Checks[0].Mend, "kongdao capacity find feed --pod 127.0.0.1:") {
		t.Errorf("%+v", v)
	}
	if code := c.api("GET", "/capacity/gate/feed?revision=r9", nil, nil); code != http.StatusNotFound {
		t.Errorf("an unknown revision: status %d", code)
	}
	give := app.ReleaseCommand{Action: "weight", Revision: "r2", Weight: 20}
	var answer string
	if code := c.api("PUT", "/functions/feed/release", give, &answer); code != http.StatusConflict ||
		!strings.Contains(answer, "has not passed its gate for 20%") || !strings.Contains(answer, "kongdao capacity find feed --pod") {
		t.Errorf("status %d: %s", code, answer)
	}
	if code := c.api("PUT", "/functions/feed/release", app.ReleaseCommand{Action: "weight", Revision: "r2", Weight: 0}, nil); code != 200 {
		t.Errorf("a weight that does not rise: status %d", code)
	}

	today := time.Now().UTC().Format(time.DateOnly)
	write(t, cfg.ResourcesDir, "feed.yaml", gated(pods, fmt.Sprintf(", measured: {date: %q, low: 100, high: 120, revision: r2}", today)))
	c.eventually("r2 passes", func() bool { return verdict("?revision=r2&weight=100").OK })
	if verdict("?revision=r1").OK {
		t.Error("r1 passes, which was not measured")
	}
	c.eventually("r2 may have more", func() bool { // the refusal is remembered for a while
		return c.api("PUT", "/functions/feed/release", give, nil) == 200
	})
	var f app.Function
	if c.api("GET", "/functions/feed", nil, &f); f.Release.Weights.Of("r2") != 20 {
		t.Errorf("%+v", f.Release.Weights)
	}
}
