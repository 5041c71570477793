package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/ledger"
)

// A channel of two robots and one of them alone, as its fallback.
func duo(dir string) Config {
	cfg := DefaultConfig(dir)
	cfg.Channels = []Channel{{Name: "duo", Robots: []string{"a", "b"}, Fallback: "c"}}
	return cfg
}

func strict(tokens ...string) *dingtalktest.Server {
	return dingtalktest.NewHandler(dingtalktest.Config{Tokens: tokens})
}

func (b *box) to(t *testing.T, channel string, gs ...dingtalk.Group) {
	t.Helper()
	for _, g := range gs {
		if err := b.Put(channel, g); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRobotsOfAChannelShareItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict("a", "b", "c")
		b := open(t, duo(t.TempDir()), byRobot(s))
		for i := range 30 {
			b.to(t, "duo", group(fmt.Sprint("k", i), "page", false))
		}
		synctest.Wait()
		by := map[string]int{}
		for _, m := range s.Messages() {
			by[m.Token]++
		}
		b.stop()
		if by["a"]+by["b"] != 30 || min(by["a"], by["b"]) < 12 || len(s.Refusals()) > 0 {
			t.Errorf("messages by robot: %v, refused: %v", by, s.Refusals())
		}
	})
}

// All messages of one matter come from one robot, restarts included, until that one
// takes none.
func TestMatterStaysWithOneRobot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict("a", "b", "c")
		dir := t.TempDir()
		b := open(t, duo(dir), byRobot(s))
		last := func() string {
			synctest.Wait()
			var robot string
			for _, m := range s.Messages() {
				if strings.Contains(m.Text, "A-k") {
					robot = m.Token
				}
			}
			return robot
		}
		b.to(t, "duo", group("k", "page", false))
		own := last()
		for i := range 5 {
			b.to(t, "duo", group(fmt.Sprint("other", i), "page", false))
			b.to(t, "duo", group("k", "page", i%2 == 0))
			if got := last(); got != own {
				t.Errorf("message %d came from %s, want %s", i, got, own)
			}
		}
		b.stop()
		b = open(t, duo(dir), byRobot(s))
		b.to(t, "duo", group("k", "page", true))
		if got := last(); got != own {
			t.Errorf("after a restart it came from %s, want %s", got, own)
		}
		for range 15 { // its own robot is nearly full
			b.to(t, own, group(fmt.Sprint("full", time.Now()), "page", false))
			synctest.Wait()
		}
		for !full(b, own) {
			time.Sleep(time.Second)
			b.to(t, own, group(fmt.Sprint("full", time.Now()), "page", false))
		}
		b.to(t, "duo", group("k", "page", false))
		if got := last(); got == own {
			t.Errorf("it waits for %s, which is full", own)
		}
		b.stop()
		if len(s.Refusals()) > 0 {
			t.Errorf("refused: %v", s.Refusals())
		}
	})
}

func full(b *box, robot string) bool {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.laneNamed(robot)
	l.forget(time.Now(), b.cfg.Window)
	return len(l.sends) >= b.cfg.Limit
}

// One robot of two is silenced by somebody else's messages: the other one speaks for
// it, and once both are silent the fallback.
func TestSilencedRobotsAreStoodInFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict("a", "b", "c")
		send := byRobot(s)
		silence := func(robot string, n int) {
			for range n {
				if err := send(t.Context(), robot, dingtalk.Message{Title: "t", Text: "x"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		told := func(robot, name string) bool {
			return slices.ContainsFunc(s.Messages(), func(m dingtalktest.Received) bool {
				return m.Token == robot && strings.Contains(m.Text, "A-"+name)
			})
		}
		silence("a", 20)
		b := open(t, duo(t.TempDir()), send)
		for i := range 4 {
			b.to(t, "duo", group(fmt.Sprint("k", i), "page", false))
			synctest.Wait()
		}
		for i := range 4 {
			if !told("b", fmt.Sprint("k", i)) {
				t.Errorf("k%d was not told by b", i)
			}
		}
		silence("b", 16) // four were told by it
		b.to(t, "duo", group("last", "page", false), group("later", "ticket", false))
		synctest.Wait()
		if !told("c", "last") {
			t.Error("a page waits for robots that are silent for ten minutes")
		}
		if told("c", "later") {
			t.Error("a ticket does not wait for ten minutes")
		}
		time.Sleep(11 * time.Minute)
		if !told("a", "later") && !told("b", "later") {
			t.Errorf("the ticket is told nowhere: %s", titles(s))
		}
		b.stop()
		if n := len(s.Refusals()); n != 2 {
			t.Errorf("%d messages were refused, want one by each silenced robot: %v", n, s.Refusals())
		}
	})
}

// A page that its robots do not take in time goes to the fallback; one for which there
// is none is tried on.
func TestPageThatWaitsTooLongIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict("a", "b", "c", "lone")
		up := byRobot(s)
		send := func(ctx context.Context, robot string, m dingtalk.Message) error {
			if robot != "c" {
				return errors.New("no route to host")
			}
			return up(ctx, robot, m)
		}
		b := open(t, duo(t.TempDir()), send)
		b.to(t, "duo", group("k", "page", false))
		b.to(t, "lone", group("l", "page", false))
		time.Sleep(DefaultConfig("").Patience - DefaultConfig("").LastRetry - time.Second)
		before := len(s.Messages())
		time.Sleep(DefaultConfig("").LastRetry + 2*time.Second)
		after := s.Messages()
		n, _ := b.Waiting()
		b.stop()
		if before != 0 || len(after) != 1 || after[0].Token != "c" || n != 1 {
			t.Errorf("%d messages before, then %v; %d wait", before, after, n)
		}
	})
}

func TestReceiverIsToldTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig(t.TempDir())
		cfg.Fallback = "mail"
		cfg.Channels = []Channel{{Name: "mail", Receiver: "mail"}}
		var told []string
		cfg.Notify = func(_ context.Context, receiver string, g dingtalk.Group) error {
			told = append(told, receiver+" "+g.Key)
			if len(told) < 3 {
				return &dingtalk.SendError{Robot: receiver, Kind: dingtalk.Transient, Message: "greylisted"}
			}
			return nil
		}
		refuses := func(_ context.Context, robot string, _ dingtalk.Message) error {
			return &dingtalk.SendError{Robot: robot, Kind: dingtalk.Permanent, Message: "sign not match"}
		}
		b := open(t, cfg, refuses)
		b.to(t, "r", group("k", "page", false))
		time.Sleep(time.Minute)
		n, _ := b.Waiting()
		b.stop()
		if n != 0 || strings.Join(told, ",") != "mail k,mail k,mail k" {
			t.Errorf("told %v, %d wait", told, n)
		}
	})
}

// Two channels that name each other pass a message on once, then give it up.
func TestFallbacksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig(t.TempDir())
		cfg.Channels = []Channel{{Name: "x", Robots: []string{"a"}, Fallback: "y"}, {Name: "y", Robots: []string{"b"}, Fallback: "x"}}
		var all []Event
		cfg.Record = func(es ...Event) { all = append(all, es...) }
		tries := 0
		refuses := func(_ context.Context, robot string, _ dingtalk.Message) error {
			tries++
			return &dingtalk.SendError{Robot: robot, Kind: dingtalk.Permanent, Message: "sign not match"}
		}
		b := open(t, cfg, refuses)
		b.to(t, "x", group("k", "page", false))
		time.Sleep(time.Hour)
		n, _ := b.Waiting()
		b.stop()
		if n != 0 || tries != 2 {
			t.Errorf("%d tries, %d wait", tries, n)
		}
		want := "x:accepted x:tried x:refused y:accepted x:fallback y:tried y:refused y:dead"
		if got := history(all); got != want {
			t.Errorf("told  %s\nwant %s", got, want)
		}
	})
}

func history(all []Event) string {
	var words []string
	for _, e := range all {
		words = append(words, e.Channel+":"+string(e.Kind))
	}
	return strings.Join(words, " ")
}

// What the ledger is told is the same after a restart, by the same IDs, and complete.
func TestEventsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict("a", "b", "c")
		s.Inject(dingtalktest.Fault{Kind: dingtalktest.LoseAnswer})
		dir := t.TempDir()
		run := func(work func(b *box)) (all []Event) {
			cfg := duo(dir)
			cfg.Record = func(es ...Event) { all = append(all, es...) }
			b := open(t, cfg, byRobot(s))
			work(b)
			b.stop()
			return all
		}
		first := run(func(b *box) {
			b.to(t, "a", group("k", "page", false))
			synctest.Wait()
			b.to(t, "a", group("k", "page", true)) // while its answer is missing
			time.Sleep(time.Minute)
		})
		const want = "a:accepted a:tried a:unanswered a:superseded a:accepted a:tried a:sent"
		if got := history(first); got != want {
			t.Errorf("told  %s\nwant %s", got, want)
		}
		again := run(func(*box) {})
		ids := func(es []Event) (all []string) {
			for _, e := range es {
				all = append(all, e.ID+" "+string(e.Kind))
			}
			return all
		}
		if a, b := ids(first), ids(again); !slices.Equal(a, b) {
			t.Errorf("told again differently:\n%v\n%v", a, b)
		}
		if third := run(func(*box) {}); len(third) != 0 {
			t.Errorf("history that was rewritten is told again: %s", history(third))
		}
		if e := first[0]; len(e.Content) == 0 || e.Matter == "" || e.Alert != "A-k" || e.Severity != "page" || !e.Firing || e.Kind != ledger.Accepted {
			t.Errorf("event %+v", e)
		}
	})
}

// After a kill Alertmanager puts once more what it does not know to be accepted: that
// is no new message, but what it says next is.
func TestPutAgainAfterARestartIsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict("r")
		dir := t.TempDir()
		g := group("k", "page", false)
		run := func(work func(b *box)) int {
			b := open(t, DefaultConfig(dir), byRobot(s))
			work(b)
			synctest.Wait()
			b.stop()
			return len(s.Messages())
		}
		first := run(func(b *box) { b.put(t, g) })
		nothing := run(func(*box) {}) // the journal is rewritten meanwhile
		again := run(func(b *box) { b.put(t, g) })
		if first != 1 || nothing != 1 || again != 1 {
			t.Errorf("%d, %d, %d messages, want one", first, nothing, again)
		}
		repeated := run(func(b *box) { b.put(t, g, g) }) // of the second run with it: the first is known, the second is a reminder
		other := run(func(b *box) { b.put(t, group("k", "page", true)) })
		time.Sleep(doubtful)
		late := run(func(b *box) { b.put(t, group("k", "page", true)) })
		if repeated != 2 || other != 3 || late != 4 {
			t.Errorf("%d, %d, %d messages, want 2, 3, 4", repeated, other, late)
		}
	})
}

// However messages come, no robot is sent more than the limit in any window, and each
// matter is told in the end.
func TestNoWindowHoldsMore(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { anyTraffic(t, seed) }) })
	}
}
