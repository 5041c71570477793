package chaos

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/testkit"
)

// target is what a round kills.
type target string

const (
	theCollector  target = "collector"
	theClickHouse target = "clickhouse"
	both          target = "both"
	midInsert     target = "clickhouse, between two steps of an insert"
)

// TestKills kills at random, with and without another fault at the time, and looks
// for every call afterwards.
func TestKills(t *testing.T) {
	r := newRig(t, nil)
	s := newSniper(r)
	rounds := 8
	if text := os.Getenv("KONGDAO_CHAOS_ROUNDS"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		testkit.Must(t, err)
	}
	first := []target{theCollector, theClickHouse, both, midInsert}
	r.random.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	done := map[target]int{}
	for n := range rounds {
		what := first[n%len(first)]
		if n >= len(first) {
			what = first[r.random.IntN(len(first))]
		}
		r.note("round %d: kill %s", n, what)
		r.round(s, n, what)
		done[what]++
		if n == rounds-1 || r.random.IntN(4) == 0 {
			r.check("round " + strconv.Itoa(n))
			r.freshEngine(s)
		}
	}
	t.Logf("seed %d: killed %v; %d lines, %d streamed calls, %d blocks seen on disk, %v records damaged, %d connections cut",
		r.seed, done, r.log.n.Load(), r.stream.n.Load(), len(r.ledger.blocks), r.damaged, r.proxy.cuts.Load())
}

// round lets calls arrive, lets something go wrong, kills, and heals.
func (r *rig) round(s *sniper, n int, what target) {
	r.t.Helper()
	wait := r.load(300 + r.random.IntN(1500))
	heal := r.trouble()
	r.kill(s, what)
	if what == theCollector || what == both {
		r.tear(r.ledger.look("round " + strconv.Itoa(n)))
		if r.random.IntN(2) == 0 { // else it starts while the trouble lasts
			heal()
			heal = func() {}
		}
		r.startCollector()
	}
	wait()
	heal()
}

// kill kills at a random moment.
func (r *rig) kill(s *sniper, what target) {
	r.t.Helper()
	if what == midInsert {
		r.kills++
		s.shoot(1 + r.random.IntN(60))
		return
	}
	<-time.After(time.Duration(r.random.IntN(200)) * time.Millisecond) // the moment, not a wait for anything
	switch what {
	case theCollector:
		r.killCollector()
	case theClickHouse:
		r.killEngine()
	case both:
		if r.random.IntN(2) == 0 {
			r.killCollector()
			r.killEngine()
			return
		}
		r.killEngine()
		r.killCollector()
	}
}

// trouble begins another fault in half of the rounds, and returns its end.
func (r *rig) trouble() (heal func()) {
	for _, f := range []struct {
		name  string
		fault fault
	}{
		{"connection cut in the middle of an insert", fault{cutInsert: 1 + r.random.IntN(5000)}},
		{"connection cut after the commit", fault{cutAnswer: true}},
		{"stalled", fault{stall: true}},
		{"slow", fault{latency: 30 * time.Millisecond, perSecond: 200_000}},
		{"refused", fault{refuse: true}},
	} {
		if r.random.IntN(8) == 0 {
			r.note("clickhouse: %s", f.name)
			r.proxy.set(f.fault)
			if f.fault.refuse {
				r.away = r.ledger.look("while clickhouse was away")
			}
			return func() { r.proxy.set(fault{}); r.away = nil }
		}
	}
	return func() {}
}

// freshEngine stops ClickHouse in order and starts it again, now and then: one that
// was killed often takes its time to come back.
func (r *rig) freshEngine(s *sniper) {
	r.t.Helper()
	if r.kills < 4 {
		return
	}
	r.killCollector()
	r.stopEngine()
	r.startEngine()
	s.watch()
	r.startCollector()
	r.note("clickhouse stopped and started anew")
}
