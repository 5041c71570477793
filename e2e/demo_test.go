package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/demo"
)

// TestDemo runs kongdao demo as a newcomer does, and holds every figure of its
// report to what it must be.
func TestDemo(t *testing.T) {
	code, r := walk(t)
	if disturbed(r) {
		// Twice the limit takes most of two cores. Somebody else's second of work shows
		// in the latencies of one walk, a fault shows in both.
		t.Logf("the latency of the admitted calls is too high; walking once more")
		code, r = walk(t)
	}
	if code != 0 || !r.OK || len(r.Missed()) > 0 {
		t.Errorf("exit code %d, ok %v, missed %v", code, r.OK, r.Missed())
	}
	names := []string{"start", "call", "measure", "plan", "enforce", "failover", "alert", "look"}
	for i, s := range r.Steps {
		if i >= len(names) || s.Name != names[i] {
			t.Errorf("step %d is %s, want the steps %v", i+1, s.Name, names)
		}
	}
	if len(r.Steps) != len(names) {
		t.Fatalf("%d steps, want %d", len(r.Steps), len(names))
	}
	// Times are no condition of a test: the goals are 5 s to ready, when warm, and
	// 120 s for the walk on two cores of its own.
	v := reported{t, r}
	t.Logf("ready after %.2f s, the walk took %.0f s", v.value("start to ready"), r.Seconds)
	v.is("fleet", 22)
	v.is("difference, by function", 0)
	v.is("failed requests", 0)
	if sent, logged := v.value("calls sent"), v.value("calls logged"); sent == 0 || sent != logged {
		t.Errorf("%v calls sent, %v logged", sent, logged)
	}
	if limit, most := v.value("limit"), v.value("admitted a pod and second, max"); most > 1.05*limit/6+1 {
		t.Errorf("a pod was given %v calls in a second, its limit is %v", most, limit/6)
	}
	if offered, limit := v.value("offered"), v.value("limit"); offered < 1.8*limit {
		t.Errorf("%v/s offered, want twice the limit of %v/s", offered, limit)
	}
	if v.value("refused with 429") == 0 {
		t.Error("nothing was refused")
	}
	if mib := v.value("memory of kongdao"); mib <= 0 || mib > 200 {
		t.Errorf("kongdao takes %v MiB, want at most 200", mib)
	}
	for _, message := range []string{"zone loss to message", "overload to message", "zone back to message", "overload over to message"} {
		if v.value(message) <= 0 {
			t.Errorf("%s: %v s", message, v.value(message))
		}
	}
	page := must(os.ReadFile(r.HTML))(t)
	if http.DetectContentType(page) != "text/html; charset=utf-8" || !strings.Contains(string(page), "recommend-feed") {
		t.Errorf("%s is no report", r.HTML)
	}
}

// walk is one run of the command.
func walk(t *testing.T) (code int, r demo.Report) {
	t.Helper()
	data := t.TempDir()
	p := start(t, data, "demo", "-o", "json", "--data", data)
	code = p.wait(4 * time.Minute)
	p.gone()
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
		t.Fatalf("exit code %d, %v\n%s\n%s", code, err, p.out.Bytes(), tail(p.log))
	}
	t.Logf("\n%s", must(os.ReadFile(p.log))(t))
	return code, r
}

// disturbed says that a walk has missed one latency and nothing else.
func disturbed(r demo.Report) bool {
	var missed []string
	for _, s := range r.Steps {
		missed = append(missed, s.Missed...)
	}
	return len(missed) == 1 && strings.HasPrefix(missed[0], "p99 of the admitted")
}

// reported are the figures of a report.
type reported struct {
	t *testing.T
	r demo.Report
}

func (v reported) value(name string) float64 {
	v.t.Helper()
	for _, s := range v.r.Steps {
		if i := slices.IndexFunc(s.Figures, func(f demo.Figure) bool { return f.Name == name }); i >= 0 {
			return s.Figures[i].Value
		}
	}
	v.t.Errorf("the report has no figure %q", name)
	return -1
}

func (v reported) is(name string, want float64) {
	v.t.Helper()
	if got := v.value(name); got != want {
		v.t.Errorf("%s is %v, want %v", name, got, want)
	}
}
