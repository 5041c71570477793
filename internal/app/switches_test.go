package app_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/capacity/switchover"
	"github.com/kongdao/kongdao/internal/app"
)

func switchText(name, what, steps string) string {
	return fmt.Sprintf("apiVersion: kongdao.io/v1\nkind: TrafficSwitch\nmetadata: {name: %s}\nspec:\n  %s\n  steps: [%s]\n  for: 1h\n", name, what, steps)
}

// TestSwitches moves a zone's traffic and a revision's on a real Envoy, restarts the
// system in the middle, and restores.
func TestSwitches(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Envoy.Canary = false
	write(t, cfg.ResourcesDir, "feed.yaml", patient(pod(t, "a"), pod(t, "b"), pod(t, "c")))
	write(t, cfg.ResourcesDir, "two.yaml", strings.NewReplacer("name: feed}", "name: two}", "/feed", "/two").Replace(released(pod(t, "r1"), pod(t, "r2"), "two:2")))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
	begin := func() caller {
		s, err := app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return caller{t: t, system: s, client: client}
	}
	end := func(c caller) {
		if err := c.system.Stop(); err != nil {
			t.Error(err)
		}
	}
	c := begin()
	c.eventually("all pods counted for the limit", func() bool { return c.limit() == 3000 })
	var r switchover.Record
	if status := c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: "kind: ["}, nil); status != http.StatusUnprocessableEntity {
		t.Errorf("no plan at all: status %d", status)
	}
	away := switchText("leave", "zone: zb-b", "{percent: 40, wait: 1s}, {percent: 100, wait: 10m}")
	if status := c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: away, Plan: true}, &r); status != http.StatusOK || r.Error != "" || len(r.Checks) != 2 || c.share("zb-b") != 100 {
		t.Errorf("status %d: %+v", status, r)
	}
	if status := c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: away}, &r); status != http.StatusOK || r.State != switchover.Moving {
		t.Fatalf("status %d: %+v", status, r)
	}
	other := switchText("also", "zone: zb-b", "{percent: 40, wait: 1s}")
	if status := c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: other}, nil); status != http.StatusConflict {
		t.Errorf("the same zone again: status %d", status)
	}
	c.eventually("the zone is empty", func() bool { return c.share("zb-b") == 0 })
	end(c)

	c = begin()
	c.eventually("it goes on", func() bool {
		state, _ := c.switched("leave")
		return state.Step == 2 && c.share("zb-b") == 0
	})
	if got := c.answering(); got["b"] {
		t.Errorf("pods that answer: %v", got)
	}
	if status := c.api(http.MethodDelete, "/switches/leave", nil, nil); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	c.eventually("all is back", func() bool {
		state, _ := c.switched("leave")
		return state.State == switchover.Aborted && c.share("zb-b") == 100
	})
	if status := c.api(http.MethodDelete, "/switches/nobody", nil, nil); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
	c.revisions(t, filepath.Join(cfg.DataDir, "switches"))
	c.peakTooHigh(t)
	end(c)
}

func (c caller) switched(name string) (r switchover.Record, ok bool) {
	var list app.SwitchList
	c.api(http.MethodGet, "/switches", nil, &list)
	for _, r := range list.Switches {
		if r.Name == name {
			return r, true
		}
	}
	return r, false
}

// revisions moves a function's traffic to another revision and back, the latter
// without being able to write it down.
func (c caller) revisions(t *testing.T, dir string) {
	weight := func() int {
		var f app.Function
		c.api(http.MethodGet, "/functions/two", nil, &f)
		return f.Release.Weights.Of("r2")
	}
	c.api(http.MethodPut, "/functions/two/release", app.ReleaseCommand{Action: "abort"}, nil)
	before := weight()
	if status := c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: switchText("to-r2", "function: two\n  revision: r2", "{percent: 60, wait: 10m}")}, nil); status != http.StatusOK {
		var text string
		c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: switchText("to-r2", "function: two\n  revision: r2", "{percent: 60, wait: 10m}")}, &text)
		t.Fatalf("status %d: %s", status, text)
	}
	c.eventually("r2 has 60 %", func() bool {
		state, _ := c.switched("to-r2")
		return state.Step == 1 && weight() == 60
	})
	defer fullDisk(t, dir)()
	c.api(http.MethodDelete, "/switches/to-r2", nil, nil)
	c.eventually("what was before is back", func() bool {
		state, _ := c.switched("to-r2")
		return state.State == switchover.Aborted && weight() == before
	})
}

// peakTooHigh plans a switch that would not fit at the peak, of 2000/s.
func (c caller) peakTooHigh(t *testing.T) {
	var r switchover.Record
	text := switchText("too-much", "zone: zb-b", "{percent: 100}")
	if status := c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: text, Plan: true}, &r); status != http.StatusOK || r.Error != "" {
		t.Errorf("status %d: %+v", status, r)
	}
	if status := c.api(http.MethodPost, "/switches", app.SwitchOrder{Text: strings.Replace(text, "zb-b", "nowhere", 1)}, nil); status != http.StatusConflict {
		t.Errorf("a zone that is not there: status %d", status)
	}
}
