package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

func table(t *testing.T) Table {
	t.Helper()
	o := embeddedtest.Start(t).Options()
	if _, err := schema.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	c, err := clickhouse.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return Table{Client: c}
}

func TestTable(t *testing.T) {
	to := table(t)
	t.Run("events are stored once", func(t *testing.T) { storedOnce(t, to) })
	t.Run("what nobody was told", func(t *testing.T) { undelivered(t, to) })
}

// Events that are taken twice, as after a crash between insert and note, are there once.
func storedOnce(t *testing.T, to Table) {
	cfg := DefaultConfig(t.TempDir())
	l := open(t, cfg)
	add(t, l, 0, 20)
	again, _, err := l.Read(10)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Store(t.Context(), again); err != nil { // and the process ends before Taken
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Ship(ctx, l, to, slog.New(slog.DiscardHandler)) }()
	settled, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if err := l.Settled(settled); err != nil {
		t.Error(err)
	}
	add(t, l, 20, 25)
	cancel() // stores what is left
	if err := errors.Join(<-done, l.Close()); err != nil {
		t.Error(err)
	}
	got, err := to.Read(t.Context(), Query{Channel: "c", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var seqs []uint64
	for _, e := range got {
		seqs = append(seqs, e.Sequence)
	}
	if !slices.Equal(seqs, inOrder(0, 25)) {
		t.Errorf("stored %v", seqs)
	}
	want := event(3)
	want.Content = nil
	if e := got[3]; e.ID != want.ID || !e.At.Equal(want.At) || e.Message != want.Message || e.Kind != want.Kind {
		t.Errorf("stored %+v, want %+v", e, want)
	}
	few, err := to.Read(t.Context(), Query{Matter: "#0001", Sequence: 7, Kind: Accepted, Since: want.At})
	if err != nil || len(few) != 1 || few[0].ID != event(7).ID {
		t.Errorf("chosen %v %v", few, err)
	}
}

// story is the life of one message in a channel of its own.
type story struct {
	name, outbox string
	hours        int // ago
	kinds        string
	told         string // why it is listed; empty: it is not
}

func undelivered(t *testing.T, to Table) {
	stories := []story{
		{"sent", "own", 3, "accepted tried sent", ""},
		{"dead", "own", 3, "accepted tried refused dead", "sign not match"},
		{"handed", "own", 3, "accepted refused fallback", ""},
		{"digested", "own", 3, "accepted tried digested", ""},
		{"superseded", "own", 3, "accepted superseded", ""},
		{"waits", "own", 3, "accepted tried unanswered", ""},
		{"forgotten", "own", 3, "accepted tried", "nothing more was heard of it"},
		{"folder gone", "gone", 3, "accepted", "nothing more was heard of it"},
		{"elsewhere", "alive", 3, "accepted tried", ""},
		{"alive", "alive", 0, "accepted sent", ""},
		{"half", "own", 3, "accepted part", "nothing more was heard of it"},
		{"too old", "own", 30, "accepted dead", ""},
	}
	now := time.Now()
	var events []Event
	for i, s := range stories {
		for j, k := range strings.Fields(s.kinds) {
			e := Event{
				ID: ID(s.name, k), Message: ID(s.name), At: now.Add(-time.Duration(s.hours)*time.Hour + time.Duration(i*100+j)*time.Millisecond), Kind: Kind(k),
				Channel: s.name, Outbox: s.outbox, Group: s.name, Alert: "A", Last: k == "sent",
			}
			switch k {
			case "accepted":
				e.Content = fmt.Appendf(nil, `{"key":%q}`, s.name)
			case "part":
				e.Kind, e.Part = Sent, 1
			case "refused", "dead":
				e.Reason = "sign not match"
			}
			events = append(events, e)
		}
	}
	// A newer message of the group of a dead one was delivered, by another channel.
	later := Event{ID: ID("later", 1), Message: ID("later"), At: now.Add(-2 * time.Hour), Kind: Dead, Channel: "l", Outbox: "own", Group: "later"}
	for i, k := range []Kind{Accepted, Dead} {
		later.ID, later.Kind, later.At = ID("later", i), k, later.At.Add(time.Second)
		events = append(events, later)
	}
	later.ID, later.Kind, later.Channel, later.Message, later.Last, later.At = ID("later", 9), Sent, "other", ID("later 2"), true, later.At.Add(time.Second)
	events = append(events, later)
	if err := to.Store(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	lost, err := to.Undelivered(t.Context(), now.Add(-24*time.Hour), now, "", "own", []string{ID("waits")})
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, u := range lost {
		why[u.Channel] = u.Why
		if len(u.Content) == 0 {
			t.Errorf("%s comes without its content", u.Channel)
		}
	}
	for _, s := range stories {
		if got := why[s.name]; got != s.told {
			t.Errorf("%s: listed for %q, want %q", s.name, got, s.told)
		}
		delete(why, s.name)
	}
	if len(why) > 0 {
		t.Errorf("also listed: %v", why)
	}
	one, err := to.Undelivered(t.Context(), now.Add(-24*time.Hour), now, "dead", "own", nil)
	if err != nil || len(one) != 1 {
		t.Errorf("of one channel: %v %v", one, err)
	}
}

// A table that is not there yet is waited for.
func TestShippingWaitsForTheTable(t *testing.T) {
	o := embeddedtest.Start(t).Options()
	c, err := clickhouse.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := open(t, DefaultConfig(t.TempDir()))
	defer l.Close()
	add(t, l, 0, 3)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Ship(ctx, l, Table{Client: c}, slog.New(slog.DiscardHandler)) }()
	if _, err := schema.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the events to be stored", func() bool {
		got, err := Table{Client: c}.Read(t.Context(), Query{})
		return err == nil && len(got) == 3
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
