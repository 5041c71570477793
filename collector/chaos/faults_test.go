package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/testkit"
)

const retriesMetric = "kongdao_collector_insert_retries_total"

// TestFaults lets ClickHouse, and the way to it, fail in every way there is, one
// after the other, and counts at the end.
func TestFaults(t *testing.T) {
	r := newRig(t, func(l *life) { l.InsertTimeout = 2 * time.Second })
	r.load(200)()
	for _, f := range []struct {
		name  string
		fault fault
	}{
		{"connection cut after the commit", fault{cutAnswer: true}},
		{"connection cut in the middle of an insert", fault{cutInsert: 500}},
		{"refused", fault{refuse: true}},
		// Inserts whose client has given up arrive later, after their repetition.
		{"stalled", fault{stall: true}},
	} {
		cuts := r.proxy.cuts.Load()
		r.suffer(f.name, 0, func() { r.proxy.set(f.fault) }, func() { r.proxy.set(fault{}) })
		if f.fault.cutAnswer && r.proxy.cuts.Load() == cuts {
			t.Errorf("%s: no connection was cut", f.name)
		}
	}
	for _, table := range []string{"calls", "calls_10s", "calls_1h"} {
		r.suffer("too many parts in "+table, 252,
			func() { r.exec("ALTER TABLE " + table + " MODIFY SETTING parts_to_throw_insert = 1") },
			func() { r.exec("ALTER TABLE " + table + " RESET SETTING parts_to_throw_insert") })
	}
	r.suffer("a rollup is not there", 60, func() { r.exec("DETACH TABLE calls_1m") }, func() { r.exec("ATTACH TABLE calls_1m") })
	r.suffer("the table is not there", 60,
		func() { r.exec("RENAME TABLE calls TO calls_away") }, func() { r.exec("RENAME TABLE calls_away TO calls") })
	r.check("after all faults")
}

// suffer lets calls arrive while something is wrong until inserts fail, and then
// waits until they are stored. The server refuses them with this error code; 0: it
// is the connection that fails.
func (r *rig) suffer(name string, code int, begin, end func()) {
	r.t.Helper()
	before := r.process.stats(r.t).Metrics[retriesMetric]
	begin()
	r.note("%s", name)
	r.load(150)()
	testkit.Eventually(r.t, fmt.Sprintf("an insert fails: %s (code %d)", name, code), func() bool {
		now := r.process.stats(r.t)
		if code == 0 {
			return now.Metrics[retriesMetric] > before
		}
		return strings.Contains(now.Stats.Failure, fmt.Sprintf("code: %d,", code))
	})
	end()
	testkit.Eventually(r.t, "calls are stored after: "+name, func() bool { return r.process.stats(r.t).Stats.Unstored == 0 })
	if dead := r.process.stats(r.t).Stats.DeadRows; dead != 0 {
		r.t.Errorf("%s: %d calls were refused for good", name, dead)
	}
}

// TestRefusals gives every insert settings with which the server refuses it.
func TestRefusals(t *testing.T) {
	r := newRig(t, nil)
	for _, s := range []struct {
		name     string
		code     int
		settings map[string]any
	}{
		{"no memory", 241, map[string]any{"max_memory_usage": 1, "max_untracked_memory": 1}},
		{"read only", 164, map[string]any{"readonly": 1}},
		{"too slow", 159, map[string]any{"max_execution_time": 0.000001}},
	} {
		r.killCollector()
		r.life.Settings = s.settings
		r.startCollector()
		r.suffer(s.name, s.code, func() {}, func() {
			r.killCollector()
			r.life.Settings = nil
			r.startCollector()
		})
	}
	r.check("after all refusals")
}
