package e2e

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/loadtest/report"
)

// TestReplayOfStoredCalls sends two bursts of calls with a pause between them, and has
// them sent again from what was stored, twice as fast: all of them, to the same
// functions, in the same order of bursts, marked as a load test.
func TestReplayOfStoredCalls(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed", "rank")...)
	data := t.TempDir()
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog))
	began := time.Now()
	l := call(t, p.addr.Gateway, platform.paths(), 100)
	pass(time.Second)
	first := l.stop()
	pass(2 * time.Second)
	l = call(t, p.addr.Gateway, platform.paths(), 100)
	pass(time.Second)
	c := l.stop()
	p.settle(&c, platform.paths())
	ended := time.Now()
	for name, n := range first.sent {
		c.sent[name] += n
	}
	noFailure(t, c)

	moment := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
	code, out, stderr := run(t, data, "load", "replay", "--from", moment(began), "--to", moment(ended), "--speed", "2", "-o", "json")
	if code != 0 && code != 3 { // 3: sent late, as a busy machine does
		t.Fatalf("exit %d: %s\n%s", code, out, stderr)
	}
	var r report.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if int(r.Sent) != c.total() || int(r.Status[200]) != c.total() {
		t.Errorf("%d calls were made, and %d sent again, %d of them answered", c.total(), r.Sent, r.Status[200])
	}
	want := maps.Clone(c.sent)
	p.settle(&c, platform.paths())
	p.stop()

	s := openStore(t, data)
	for name, n := range want {
		if got := s.number("SELECT count() FROM calls WHERE load_test = ? AND function = ?", r.Run, name); int(got) != n {
			t.Errorf("%s: %d calls were replayed, want %d", name, got, n)
		}
	}
	// The longest gap between two calls has as many calls before it as the first burst had.
	const before = `WITH calls_of AS (SELECT row_number() OVER (ORDER BY ts) AS n, ts - lagInFrame(ts, 1, ts) OVER (ORDER BY ts) AS gap
FROM calls WHERE load_test = ?) SELECT toUInt64(argMax(n, gap) - 1) FROM calls_of`
	if got := s.number(before, r.Run); int(got) != first.total() {
		t.Errorf("the pause is after %d calls, want %d", got, first.total())
	}
}
