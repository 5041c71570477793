package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/internal/testkit"
)

// sends is a robot that takes everything, or nothing while it is down.
type sends struct {
	down atomic.Bool
	mu   sync.Mutex
	all  []string // titles
}

func (s *sends) send(_ context.Context, _ string, m dingtalk.Message) error {
	if s.down.Load() {
		return errors.New("connection refused")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, m.Title+m.Text)
	return nil
}

func (s *sends) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func mirrored(t *testing.T, dir string, s *sends) *Outbox {
	t.Helper()
	cfg := DefaultConfig(dir)
	cfg.Mirrored, cfg.FirstRetry, cfg.LastRetry = true, 10*time.Millisecond, 20*time.Millisecond
	o, err := New(cfg, s.send, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// background runs f until the function it returns is called, which waits for its end.
func background(t *testing.T, f func(context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func runBox(t *testing.T, o *Outbox) (stop func()) {
	t.Helper()
	return background(t, func(ctx context.Context) { _ = o.Run(ctx) })
}

// follow makes b mirror a.
func follow(t *testing.T, a *Outbox, b http.Handler) (stop func()) {
	t.Helper()
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return background(t, func(ctx context.Context) { a.Follow(ctx, c, s.URL) })
}

// waiting is what an outbox holds, as text.
func waiting(o *Outbox) (all []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, q := range o.queues {
		for _, e := range q.waiting {
			if !e.replaced {
				all = append(all, fmt.Sprintf("%s %d %s %d %t", name, e.seq, e.group.Mark(), e.parts, e.group.Firing()))
			}
		}
	}
	slices.Sort(all)
	return all
}

func (o *Outbox) mirrorOf(peer string) []string {
	o.mirrors.mu.Lock()
	defer o.mirrors.mu.Unlock()
	if m := o.mirrors.all[peer]; m != nil {
		return waiting(m.state)
	}
	return nil
}

// Whatever happens, the mirror holds what the outbox holds soon after, also when the
// mirror forgets everything in between.
func TestMirrorIsLikeTheOutbox(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var robot sends
	a := mirrored(t, t.TempDir(), &robot)
	stop := runBox(t, a)
	var peer atomic.Pointer[Outbox]
	peer.Store(mirrored(t, t.TempDir(), &sends{}))
	follow(t, a, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { peer.Load().Mirrors().ServeHTTP(w, q) }))
	for i := range 30 {
		robot.down.Store(r.IntN(3) > 0)
		for range r.IntN(8) {
			if err := a.Put(fmt.Sprint("r", r.IntN(3)), group(fmt.Sprint("k", r.IntN(6)), []string{"page", "ticket"}[r.IntN(2)], r.IntN(3) == 0)); err != nil {
				t.Fatal(err)
			}
		}
		a.Safe()
		if i == 10 || i == 20 {
			peer.Store(mirrored(t, t.TempDir(), &sends{})) // restarted
		}
	}
	robot.down.Store(true)
	testkit.Eventually(t, "the mirror to be like the outbox", func() bool {
		want := waiting(a)
		return len(want) > 0 && cmp.Equal(want, peer.Load().mirrorOf(a.ID()))
	})
	stop()
}

func TestTakeOver(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	var robotA, robotB sends
	robotA.down.Store(true)
	a, b := mirrored(t, dirs[0], &robotA), mirrored(t, dirs[1], &robotB)
	stopA := runBox(t, a)
	stopFollow := follow(t, a, b.Mirrors())
	for i := range 6 {
		if err := a.Put(fmt.Sprint("r", i%2), group(fmt.Sprint("k", i), "page", false)); err != nil {
			t.Fatal(err)
		}
	}
	marks := waiting(a)
	testkit.Eventually(t, "the mirror", func() bool { return cmp.Equal(marks, b.mirrorOf(a.ID())) })
	stopA()
	stopFollow()
	id := a.ID()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}

	if n, err := b.TakeOver(id); n != 6 || err != nil {
		t.Fatalf("took over %d, %v", n, err)
	}
	if n, err := b.TakeOver(id); n != 0 || err != nil {
		t.Errorf("took over %d more, %v", n, err)
	}
	if err := b.Close(); err != nil { // killed before it sends
		t.Fatal(err)
	}
	b = mirrored(t, dirs[1], &robotB)
	if len(waiting(b)) != 6 || len(b.TakenOver(id)) != 6 {
		t.Errorf("after a restart %q wait, %v are taken over", waiting(b), b.TakenOver(id))
	}
	stopB := runBox(t, b)
	testkit.Eventually(t, "all to be told", func() bool { return robotB.count() == 6 })

	a = mirrored(t, dirs[0], &robotA)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	s := httptest.NewServer(b.Mirrors())
	t.Cleanup(s.Close)
	if err := a.AskTaken(t.Context(), c, s.URL); err != nil {
		t.Fatal(err)
	}
	if w := waiting(a); len(w) != 0 {
		t.Errorf("what was told by the other waits still: %q", w)
	}
	stopB()
	for _, o := range []*Outbox{a, b} {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What the peer accepted before something newer of here is not told any more.
func TestTakeOverOfWhatIsOld(t *testing.T) {
	var robot sends
	robot.down.Store(true)
	a, b := mirrored(t, t.TempDir(), &robot), mirrored(t, t.TempDir(), &sends{})
	follow(t, a, b.Mirrors())
	for _, k := range []string{"old", "only"} {
		if err := a.Put("r", group(k, "page", false)); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "the mirror", func() bool { return len(b.mirrorOf(a.ID())) == 2 })
	if err := b.Put("r", group("old", "page", true)); err != nil {
		t.Fatal(err)
	}
	if n, err := b.TakeOver(a.ID()); n != 1 || err != nil {
		t.Errorf("took over %d, %v", n, err)
	}
	if w := waiting(b); len(w) != 2 {
		t.Errorf("waiting: %q", w)
	}
}

// A robot gets no more than its limit from all instances together, and what a peer
// has just accepted is known.
func TestPeersShareALimit(t *testing.T) {
	var robotA, robotB sends
	a, b := mirrored(t, t.TempDir(), &robotA), mirrored(t, t.TempDir(), &robotB)
	runBox(t, a)
	follow(t, a, b.Mirrors())
	g := group("known", "page", false)
	for i := range 10 {
		if err := a.Put("r", group(fmt.Sprint("a", i), "page", false)); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "ten messages", func() bool { return robotA.count() == 10 })
	testkit.Eventually(t, "the peer to be there", func() bool { return b.mirrorOf(a.ID()) == nil && len(b.lanesOf("r")) == 10 })
	if err := a.Put("other", g); err != nil {
		t.Fatal(err)
	}
	a.Safe()
	if !b.Knows("other", g, time.Minute) || b.Knows("other", group("known", "page", true), time.Minute) || b.Knows("r", g, time.Minute) {
		t.Error("what the peer has accepted is not known, or more is")
	}
	runBox(t, b)
	for i := range 12 {
		if err := b.Put("r", group(fmt.Sprint("b", i), "page", false)); err != nil {
			t.Fatal(err)
		}
	}
	// The last place is kept for half a minute.
	testkit.Eventually(t, "the other seven", func() bool { return robotB.count() == 7 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.lanes["r"].sends); n != DefaultConfig("x").Limit-1 {
		t.Errorf("%d messages in the window", n)
	}
}

func (o *Outbox) lanesOf(robot string) []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.lanes[robot]; l != nil {
		return slices.Clone(l.sends)
	}
	return nil
}

// A peer that hangs holds up acceptance once, for a second.
func TestSafe(t *testing.T) {
	a := mirrored(t, t.TempDir(), &sends{})
	b := mirrored(t, t.TempDir(), &sends{})
	var hang atomic.Bool
	release := make(chan struct{})
	follow(t, a, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hang.Load() {
			_, _ = io.Copy(io.Discard, r.Body) // a server sees that a client left when it has read all
			select {
			case <-r.Context().Done():
			case <-release:
				panic(http.ErrAbortHandler)
			}
		}
		b.Mirrors().ServeHTTP(w, r)
	}))
	put := func(key string) {
		t.Helper()
		if err := a.Put("r", group(key, "page", false)); err != nil {
			t.Fatal(err)
		}
		a.Safe()
	}
	testkit.Eventually(t, "the peer to answer", func() bool {
		put("first")
		return len(b.mirrorOf(a.ID())) == 1
	})
	put("second")
	if n := len(b.mirrorOf(a.ID())); n != 2 {
		t.Errorf("the peer has %d when it is said to be safe", n)
	}
	hang.Store(true)
	put("third") // after a second
	if missing, _ := a.stream.missing(1 << 40); len(missing) != 0 {
		t.Error("a peer that hangs is waited for again")
	}
	hang.Store(false)
	close(release)
	testkit.Eventually(t, "the peer to catch up", func() bool { return len(b.mirrorOf(a.ID())) == 3 })
}
