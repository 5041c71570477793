package attack_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// chain is a sender of iterations of three requests, the last of which fails.
type chain struct {
	mu     sync.Mutex
	seqs   []uint64
	by     map[int]int // iterations by stream
	step   time.Duration
	closed bool
}

func (c *chain) Take(it *attack.Iteration) error {
	it.State = 0
	c.seqs = append(c.seqs, it.Seq) // one worker at a time
	if c.by == nil {
		c.by = map[int]int{}
	}
	c.by[it.Stream]++
	return nil
}

func (c *chain) Send(ctx context.Context, it *attack.Iteration) (attack.Reply, bool) {
	n := it.State.(int)
	it.State = n + 1
	began := time.Now()
	select {
	case <-time.After(c.step):
	case <-ctx.Done():
	}
	if n == 2 {
		return attack.Reply{Series: 2, Fault: "check"}, false
	}
	return attack.Reply{Series: n, Status: 200, In: 1, Out: 2, Held: time.Since(began)}, true
}

func (c *chain) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func TestIterationsOfSeveralRequests(t *testing.T) {
	c := &chain{step: 200 * time.Millisecond}
	conf := config()
	conf.Series = 3
	var results []*vegeta.Result
	a, err := attack.NewFor(conf, attack.Constant(20, time.Second), c, attack.Hooks{
		Result: func(r *vegeta.Result) error { results = append(results, r); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Planned != 20 || s.Sent != 60 || s.Followed != 40 || s.Status[200] != 40 || s.Faults["check"] != 20 || s.BytesIn != 40 || s.BytesOut != 80 {
		t.Errorf("got %+v", s)
	}
	if s.Lag.TotalCount() != 20 {
		t.Errorf("%d lags: requests that follow have none", s.Lag.TotalCount())
	}
	if !slices.IsSorted(c.seqs) || len(c.seqs) != 20 || c.by[-1] != 20 || !c.closed {
		t.Errorf("taken %v, streams %v, closed %v", c.seqs, c.by, c.closed)
	}
	if len(s.Series) != 3 || s.Series[0].Status[200] != 20 || s.Series[2].Faults["check"] != 20 || s.Series[1].Latency.TotalCount() != 20 {
		t.Fatalf("series %+v", s.Series)
	}
	// The second request was held open for as long as it took, which is no time of its
	// own; the third one takes a step. The planned time of both is the end of the one
	// before, not the beginning of the iteration.
	second, third := attack.Quantile(s.Series[1].Latency, 50), attack.Quantile(s.Series[2].Latency, 50)
	if third < c.step || third-second < c.step/2 {
		t.Errorf("p50 of the second request %v, of the third %v", second, third)
	}
	if len(results) != 60 {
		t.Errorf("%d results", len(results))
	}
}

func TestCanceledIterationSendsNothingMore(t *testing.T) {
	c := &chain{step: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	a, err := attack.NewFor(config(), attack.Constant(100, time.Minute), c, attack.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Stopped != attack.StopCaller || s.Sent > uint64(len(c.seqs)) {
		t.Errorf("stopped %q, sent %d of %d iterations", s.Stopped, s.Sent, len(c.seqs))
	}
}

func TestSenderIsWanted(t *testing.T) {
	if _, err := attack.NewFor(config(), attack.Constant(1, time.Second), nil, attack.Hooks{}); err == nil {
		t.Error("no sender was accepted")
	}
	c := config()
	c.Series = -1
	if _, err := attack.NewFor(c, attack.Constant(1, time.Second), &chain{}, attack.Hooks{}); err == nil {
		t.Error("-1 series were accepted")
	}
}

// Merging loses and moves nothing: each stream's requests are where its own pacer
// put them, and all come in the order of time.
func TestMergedIsTheUnion(t *testing.T) {
	streams := []attack.Stream{
		{Pacer: attack.Constant(30, 4*time.Second)},
		{Pacer: attack.Stages{{From: 0, To: 50, Duration: 2 * time.Second}}, After: time.Second},
		{Pacer: vegeta.ConstantPacer{Freq: 10, Per: time.Second}, After: 2 * time.Second, End: time.Second},
	}
	m := attack.Merge(streams...)
	want := map[int][]time.Duration{}
	for i, s := range []vegeta.Pacer{attack.Constant(30, 4*time.Second), attack.Stages{{From: 0, To: 50, Duration: 2 * time.Second}}} {
		var at time.Duration
		for n := uint64(0); ; n++ {
			wait, stop := s.Pace(at, n)
			if stop {
				break
			}
			at += wait
			want[i] = append(want[i], streams[i].After+at)
		}
	}
	for n := range 10 { // vegeta's first request is due after one gap
		want[2] = append(want[2], 2*time.Second+time.Duration(n+1)*100*time.Millisecond)
	}
	got := map[int][]time.Duration{}
	var at time.Duration
	for n := uint64(0); ; n++ {
		wait, stop := m.Pace(at, n)
		if stop {
			break
		}
		at += wait
		got[m.Stream()] = append(got[m.Stream()], at)
	}
	for i := range streams {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("stream %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if r := m.Rate(2500 * time.Millisecond); r < 77 || r > 78 {
		t.Errorf("rate %v, want 30 + 37.5 + 10", r)
	}
}

func TestStreamsReachTheSender(t *testing.T) {
	c := &chain{}
	m := attack.Merge(attack.Stream{Pacer: attack.Constant(50, time.Second)}, attack.Stream{Pacer: attack.Constant(20, time.Second)})
	a, err := attack.NewFor(config(), m, c, attack.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.by[0] != 50 || c.by[1] != 20 {
		t.Errorf("iterations by stream: %v", c.by)
	}
}

type broken struct{ chain }

var errBroken = errors.New("broken")

func (*broken) Take(*attack.Iteration) error { return errBroken }

func TestTakeErrorEndsTheRun(t *testing.T) {
	a, err := attack.NewFor(config(), attack.Constant(50, time.Minute), &broken{}, attack.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Run(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}
