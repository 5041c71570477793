package completeness

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

// world is a gateway in a simulated time: its calls, its counters, and a watcher
// without a ClickHouse.
type world struct {
	t       testing.TB
	rand    *rand.Rand
	w       *Watcher
	now     int64 // microseconds
	begun   []int64
	ends    []int64 // of all calls of the process
	process int
	died    int64
	lines   []calllog.Record
	lost    int64
}

const start = int64(1_800_000_000_000_000) - 1_800_000_000_000_000%minute

func newWorld(t testing.TB, seed uint64) *world {
	w, err := New(DefaultConfig(), nil, State{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.gateways["gw"] = &gateway{name: "gw", zone: "z", began: time.UnixMicro(start), restored: true, saved: map[int64]saved{}}
	return &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), w: w, now: start, process: 1}
}

// second lets a second pass with calls of up to longest; each is lost with a
// probability. Counters are read at its end, a little late.
func (w *world) second(calls int, longest time.Duration, loss float64) {
	from := w.now
	w.now += 1e6
	for range calls {
		begin := from + w.rand.Int64N(1e6)
		length := w.rand.Int64N(max(1, longest.Microseconds()))
		w.begun = append(w.begun, begin)
		w.ends = append(w.ends, begin+length)
		if w.rand.Float64() < loss {
			w.lost++
			continue
		}
		w.lines = append(w.lines, calllog.Record{Time: begin, DurationUS: uint32(length), Gateway: "gw", Method: []byte("GET")})
	}
	late := w.rand.Int64N(3000) // microseconds after the time that it is given
	w.sample(w.now-late, w.now)
}

func (w *world) sample(at, read int64) {
	s := Sample{Gateway: "gw", Zone: "z", Time: time.UnixMicro(at), Took: time.Duration(read-at) * time.Microsecond, Process: w.process, Uptime: time.Duration(at-start) * time.Microsecond}
	if w.died > 0 {
		s.Ended = time.UnixMicro(w.died)
	}
	for i := range w.begun {
		if w.begun[i] <= read {
			s.Total++
			if w.ends[i] > read {
				s.Active++
			}
		}
	}
	w.w.gateways["gw"].sample(s, time.UnixMicro(w.now))
}

// deliver hands over the lines of calls that ended up to a moment.
func (w *world) deliver(upTo int64) {
	slices.SortFunc(w.lines, func(a, b calllog.Record) int { return int(a.Time + int64(a.DurationUS) - b.Time - int64(b.DurationUS)) })
	r := w.w.Read()
	defer r.Done()
	kept := w.lines[:0]
	for _, l := range w.lines {
		if l.Time+int64(l.DurationUS) <= upTo {
			r.Add(&l, 1)
			continue
		}
		kept = append(kept, l)
	}
	w.lines = kept
}

func (w *world) settle() (g *gateway) {
	w.w.due(time.UnixMicro(w.now), false)
	return w.w.gateways["gw"]
}

// Whatever the traffic, however late the lines and the readings: once all is
// settled exactly those calls are missing that were lost, and the rows add up.
func TestMissingIsWhatWasLost(t *testing.T) {
	for seed := range uint64(60) {
		w := newWorld(t, seed)
		w.sample(w.now, w.now)
		loss := []float64{0, 0, 0.001, 0.02, 0.5}[seed%5]
		behind := int64(seed%4) * 5e6
		seconds := 100 + int(seed)
		for i := range seconds {
			calls := w.rand.IntN(120)
			if i > seconds-5 {
				calls = 0 // the last calls have ended by the end
			}
			w.second(calls, 3*time.Second, loss)
			w.deliver(w.now - behind)
			w.settle()
		}
		for range 40 {
			w.second(0, 1, 0)
			w.deliver(w.now)
		}
		g := w.settle()
		if g.lost != w.lost || g.late() != 0 {
			t.Fatalf("seed %d: %d lost and %d late, want %d lost", seed, g.lost, g.late(), w.lost)
		}
		var rows Row
		for _, r := range g.rows(true) {
			rows.Counted += r.Counted
			rows.Received += r.Received
			rows.Lost += r.Lost
			rows.Late += r.Late
			if r.Lost < 0 || r.Late < 0 || r.Until.Before(r.Since) {
				t.Fatalf("seed %d: %+v", seed, r)
			}
		}
		if want := int64(len(w.begun)); rows.Counted != want || rows.Received != want-w.lost || rows.Lost+rows.Late != w.lost {
			t.Fatalf("seed %d: rows add up to %+v, want %d calls and %d lost", seed, rows, want, w.lost)
		}
	}
}

// A steady loss of one in a thousand shows within two minutes, at 100 and at 2,000
// calls a second; without a loss nothing ever does.
func TestATenthOfAPercentIsSeenWithinTwoMinutes(t *testing.T) {
	for _, rate := range []int{200, 2000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			for _, loss := range []float64{0, 0.001} {
				w := newWorld(t, uint64(rate))
				w.sample(w.now, w.now)
				for range 60 {
					w.oldest()
					w.second(rate, 50*time.Millisecond, 0)
					w.deliver(w.now - 1e6)
				}
				seen := 0
				for second := 1; second <= 120 && seen == 0; second++ {
					w.oldest()
					w.second(rate, 50*time.Millisecond, loss)
					w.deliver(w.now - 1e6)
					calls, lost := w.settle().window()
					if float64(lost) > 0.0005*float64(calls) && lost >= 3 { // as the alert CallLogIncomplete
						seen = second
					}
				}
				if (seen > 0) != (loss > 0) || seen > 105 { // a scrape, an evaluation
					t.Errorf("loss %v: seen after %d s", loss, seen)
				}
				t.Logf("loss %v: seen after %d s", loss, seen)
			}
		})
	}
}

// oldest makes calls that ended long ago a plain number, to be quick.
func (w *world) oldest() {
	if len(w.begun) < 20_000 {
		return
	}
	// Their sum is what counts: as calls that ended at the start.
	for i := range w.ends {
		if w.ends[i] < w.now-5e6 {
			w.begun[i], w.ends[i] = start, start
		}
	}
}

// Late is no loss: the reader is away for 40 s, and only then are calls given up.
func TestLateIsNotLost(t *testing.T) {
	w := newWorld(t, 1)
	through := time.UnixMicro(w.now)
	w.w.state.Through = func(string) time.Time { return through }
	w.sample(w.now, w.now)
	for range 40 {
		w.second(50, 10*time.Millisecond, 0)
		if g := w.settle(); g.lost != 0 {
			t.Fatalf("%d lost while the reader is away", g.lost)
		}
	}
	g := w.settle()
	if g.late() < 1900 {
		t.Errorf("%d late, want nearly 2000", g.late())
	}
	w.deliver(w.now)
	through = time.UnixMicro(w.now)
	for range 25 {
		w.second(0, 1, 0)
		through = time.UnixMicro(w.now)
	}
	w.deliver(w.now)
	if g := w.settle(); g.lost != 0 || g.late() != 0 {
		t.Errorf("%d lost, %d late after it came back", g.lost, g.late())
	}
}

// A call that arrives after it was given up is found again in its minute; the
// counter of losses keeps it.
func TestFoundAgain(t *testing.T) {
	w := newWorld(t, 2)
	w.sample(w.now, w.now)
	for range 100 {
		w.second(10, time.Millisecond, 0)
		w.settle()
	}
	g := w.settle()
	if g.lost < 700 {
		t.Fatalf("%d lost", g.lost)
	}
	before := g.lost
	w.deliver(w.now)
	g = w.settle()
	for _, r := range g.rows(false) {
		if r.Lost != 0 {
			t.Errorf("%+v", r)
		}
	}
	if g.lost != before {
		t.Errorf("counter went from %d to %d", before, g.lost)
	}
}

// A gateway is killed: what it counted and did not tell is lost, what it told of
// after its last reading is no surplus, and the rest is estimated.
func TestDeath(t *testing.T) {
	w := newWorld(t, 3)
	w.sample(w.now, w.now)
	for range 10 {
		w.second(1000, 10*time.Millisecond, 0)
	}
	// 0.6 s after the last reading it dies; the last 0.1 s was never written.
	counted := len(w.begun)
	for i := range 600 {
		at := w.now + int64(i)*1000
		if i < 500 {
			w.lines = append(w.lines, calllog.Record{Time: at - 500, DurationUS: 500, Gateway: "gw", Method: []byte("GET")})
		}
	}
	w.died = w.now + 600_000
	w.deliver(w.died)
	w.begun, w.ends, w.process = nil, nil, 2
	w.now += 2e6
	w.sample(w.now, w.now)
	for range 40 {
		w.second(0, 1, 0)
	}
	g := w.settle()
	var sum Row
	for _, r := range g.rows(true) {
		sum.Counted += r.Counted
		sum.Lost += r.Lost
		sum.Estimated += r.Estimated
	}
	if sum.Counted != int64(counted+500) || sum.Lost != 0 || sum.Estimated < 95 || sum.Estimated > 105 {
		t.Errorf("%+v, want %d counted, none lost, about 100 estimated", sum, counted+500)
	}
	if g.lost != sum.Estimated {
		t.Errorf("%d lost, want the estimate of %d", g.lost, sum.Estimated)
	}
}

func TestRestarted(t *testing.T) {
	at := time.UnixMicro(start)
	before := Sample{Time: at, Total: 100, Uptime: 60 * time.Second}
	for _, tt := range []struct {
		name string
		now  Sample
		want bool
	}{
		{"a second later", Sample{Time: at.Add(time.Second), Total: 150, Uptime: 61 * time.Second}, false},
		{"uptime is worked out every few seconds", Sample{Time: at.Add(5 * time.Second), Total: 150, Uptime: 60 * time.Second}, false},
		{"uptime is in whole seconds", Sample{Time: at.Add(1900 * time.Millisecond), Total: 150, Uptime: 61 * time.Second}, false},
		{"the counter went back", Sample{Time: at.Add(time.Second), Total: 99, Uptime: 61 * time.Second}, true},
		{"younger, and busy", Sample{Time: at.Add(10 * time.Second), Total: 1000, Uptime: 5 * time.Second}, true},
		{"after an hour of silence", Sample{Time: at.Add(time.Hour), Total: 1000, Uptime: 3660 * time.Second}, false},
		{"as old as it was, after an hour", Sample{Time: at.Add(time.Hour), Total: 1000, Uptime: 60 * time.Second}, true},
	} {
		if got := tt.now.restarted(before); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A tally holds what was added, in order, however many gateways send whatever.
func TestTally(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 20 {
		var tally tally
		var all []int64
		for range 30_000 {
			at := start + r.Int64N(60e6)
			all = append(all, at)
			tally.add(bucket{at: at, calls: 1, rows: 2, longest: at % 7})
		}
		if len(tally.buckets) > maxBuckets {
			t.Fatalf("%d buckets", len(tally.buckets))
		}
		if !slices.IsSortedFunc(tally.buckets, func(a, b bucket) int { return int(a.at - b.at) }) {
			t.Fatal("not in order")
		}
		cut := start + r.Int64N(60e6)
		want := int64(0)
		for _, at := range all {
			if at <= cut {
				want++
			}
		}
		got := tally.takeUpTo(cut)
		if got.calls > want || got.calls < want-2*tally.width*30_000/60_000_000-50 || got.rows != 2*got.calls {
			t.Fatalf("%d calls up to the cut, want %d", got.calls, want)
		}
		if rest := tally.takeUpTo(start + 60e6); got.calls+rest.calls != 30_000 {
			t.Fatalf("%d calls in all", got.calls+rest.calls)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	w := newWorld(b, 1)
	w.sample(w.now, w.now)
	record := calllog.Record{Gateway: "gw", GatewayZone: "z", Method: []byte("GET"), DurationUS: 900}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r := w.w.Read()
		for range 100 {
			record.Time = start + int64(n)*10
			r.Add(&record, 1)
			n++
		}
		r.Done()
		if n%100_000 == 0 {
			w.sample(start+int64(n)*10, start+int64(n)*10)
			w.w.gateways["gw"].ledger.merge(start + int64(n)*10)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/call")
}
