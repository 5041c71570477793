package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// gray is a function in two revisions whose every part changes with i, and beside
// it one whose route does.
func gray(pods [][]string, i int) string {
	endpoints := func(zones ...int) string {
		var all []string
		for _, z := range zones {
			for _, address := range pods[z] {
				all = append(all, fmt.Sprintf("{address: %q, zone: %s}", address, fleet.Zones()[z]))
			}
		}
		return strings.Join(all, ", ")
	}
	weight := 10 + i*7%81
	return fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: gray, tenant: e2e}
spec:
  routes: [{hosts: [%[1]s], path: /gray, methods: [GET]}]
  revisions:
    - {name: r1, endpoints: [%[2]s]}
    - {name: r2, endpoints: [%[3]s]}
  traffic: [{revision: r1, weight: %[4]d}, {revision: r2, weight: %[5]d}]
  timeout: %[6]dms
  idempotent: true
  healthCheck: {path: /healthz}
  access: {public: true}
---
apiVersion: kongdao.io/v1
kind: Function
metadata: {name: moving, tenant: e2e}
spec:
  routes: [{hosts: [%[1]s], path: /moving-%[7]d}]
  revisions: [{name: r1, endpoints: [%[2]s]}]
  access: {public: true}
`, fleet.Host, endpoints(0, 1+i%2), endpoints(2), weight, 100-weight, 5000+i, i)
}

// TestHotReloadLosesNothing changes weights, timeouts, endpoints and another
// function's route five times a second while the functions are called: no call
// fails, Envoy refuses nothing, and every call is one row.
func TestHotReloadLosesNothing(t *testing.T) {
	const seconds = 8
	catalog := functions("pool", "rank", "tours")
	platform := newPlatform(t, fleet.Rates{}, catalog...)
	file := filepath.Join(platform.dir, "gray.yaml")
	pods := platform.pods("pool")
	write(t, file, gray(pods, 0))
	data := t.TempDir()
	p := up(t, data, platform.dir)
	p.podsReady(len(catalog) + 2)
	paths := platform.paths()
	paths["gray"] = "/gray"
	l := call(t, p.addr.Gateway, paths, 200)
	changes := 0
	during(t, seconds*time.Second, 200*time.Millisecond, func(i int) {
		write(t, file, gray(pods, i+1))
		changes = i + 1
	})
	served(t, p.addr.Gateway, map[string]string{"moving": fmt.Sprint("/moving-", changes)}) // the last change is in force
	c := l.stop()
	noFailure(t, c)
	p.noNACK()
	p.stop()
	t.Logf("%d changes, %d calls", changes, c.total())
	s := openStore(t, data)
	c.sent["moving"] = int(s.number("SELECT count() FROM calls WHERE function = 'moving'"))
	c.sent[""] = int(s.number("SELECT count() FROM calls WHERE function = ''")) // asks for moving before it had moved
	if c.sent[""] == 0 {
		delete(c.sent, "")
	}
	s.equals(c.sent)
	s.exact(c.answered)
	if n := s.number("SELECT uniqExact(revision, zone) FROM calls WHERE function = 'gray'"); n != 4 {
		t.Errorf("calls of gray went to %d pairs of revision and zone, want 4: r1 in all zones, r2 in one", n)
	}
}

// during calls do every pause until d has passed.
func during(t *testing.T, d, pause time.Duration, do func(i int)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(i)
		}
	}
}
