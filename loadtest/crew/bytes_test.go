package crew_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/crew"
)

// TestAgentsShareBytes: two agents have half of the cap each, or less where their own
// is less, and one that reaches it ends the run of both.
func TestAgentsShareBytes(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10_000)) }))
	t.Cleanup(s.Close)
	for _, c := range []struct {
		own, most, want uint64 // of an agent, of the run, of all
	}{{0, 1 << 20, 1 << 20}, {300_000, 1 << 30, 600_000}} {
		f := newFleet(t, 2, nil)
		for _, name := range []string{"a", "b"} {
			f.join(t.Context(), name, func(a *crew.AgentConfig) { a.Limits.MaxBytes = c.own })
		}
		o := loadtest.Options{}
		o.Limits.MaxBytes = c.most
		spec := api.ScenarioSpec{
			Targets: []api.Target{{URL: s.URL}}, Stages: []api.Stage{{Rate: 200, Duration: api.Duration(50 * time.Second)}},
		}
		r := f.run(t.Context(), spec, o)
		if r.Valid || r.Stopped != "bytes" && r.Stopped != "caller" || !strings.Contains(strings.Join(r.InvalidReasons, "; "), "above the cap of") {
			t.Errorf("stopped %q, %q", r.Stopped, r.InvalidReasons)
		}
		if r.BytesWire > c.want*5/4 {
			t.Errorf("%d bytes, want %d at most", r.BytesWire, c.want)
		}
		for range 2 {
			<-f.errs
		}
	}
}
