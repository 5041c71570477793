package claim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what a book acts on.
type world struct {
	mu       sync.Mutex
	now      time.Time
	told     []string // channel level
	silences []string // by until
	events   []claim.Event
	refused  []error
	changes  int
	deaf     bool // Tell fails
	quiet    bool // nothing fires
}

func newWorld() *world { return &world{now: time.Unix(1_800_000_000, 0)} }

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) tellings() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

func (w *world) kinds() (kinds []claim.Kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (w *world) hooks() claim.Hooks {
	return claim.Hooks{
		Silence: func(_ context.Context, g dingtalk.Group, by, _ string, until time.Time) (string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.silences = append(w.silences, by+" "+until.Sub(w.now).String())
			return "silence-" + g.ID(), nil
		},
		Fires: func(dingtalk.Group) bool { w.mu.Lock(); defer w.mu.Unlock(); return !w.quiet },
		Tell: func(channel string, g dingtalk.Group) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.deaf {
				return errors.New("disk full")
			}
			w.told = append(w.told, fmt.Sprint(channel, " ", g.Escalated, " ", g.Firing()))
			return nil
		},
		Refused: func(_ claim.Answer, err error) { w.set(func() { w.refused = append(w.refused, err) }) },
		Changed: func(claim.State) { w.set(func() { w.changes++ }) },
		Record:  func(e claim.Event) { w.set(func() { w.events = append(w.events, e) }) },
	}
}

func config(dir string, w *world) claim.Config {
	cfg := claim.DefaultConfig(dir)
	cfg.After, cfg.Steps, cfg.Hooks, cfg.Now = 10*time.Minute, []string{claim.Next, "voice"}, w.hooks(), w.Now
	return cfg
}

type book struct {
	*claim.Book
	stop func()
}

func open(t *testing.T, cfg claim.Config) book {
	t.Helper()
	b, err := claim.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := errors.Join(<-done, b.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return book{b, stop}
}

func group(firing bool) dingtalk.Group {
	a := dingtalk.Alert{Labels: map[string]string{"alertname": "Broken", "severity": "page"}, StartsAt: time.Unix(1_800_000_000, 0), Fingerprint: "f1"}
	if !firing {
		a.EndsAt = time.Unix(1_800_000_100, 0)
	}
	return dingtalk.Group{Key: `{}:{alertname="Broken"}`, Labels: map[string]string{"alertname": "Broken"}, Alerts: []dingtalk.Alert{a}}
}

func told(t *testing.T, b book, firing bool) {
	t.Helper()
	if err := b.Told("oncall", group(firing)); err != nil {
		t.Fatal(err)
	}
}

func answer(id string, action claim.Action, by string, w *world) claim.Answer {
	return claim.Answer{ID: id, Key: group(true).Key, Action: action, By: claim.Person{Name: by, UserID: "u-" + by}, At: w.Now(), Via: "card"}
}

func do(t *testing.T, b book, a claim.Answer) (claim.State, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return b.Do(ctx, a)
}

func TestFirstClaimCounts(t *testing.T) {
	w := newWorld()
	b := open(t, config(t.TempDir(), w))
	told(t, b, true)
	s, err := do(t, b, answer("m1", claim.Claim, "ann", w))
	if err != nil || s.Claim(w.Now()) == nil || s.Claimed.By.Name != "ann" {
		t.Fatalf("claim: %v %+v", err, s)
	}
	var taken *claim.TakenError
	if _, err := do(t, b, answer("m2", claim.Claim, "ben", w)); !errors.As(err, &taken) || taken.By.By.Name != "ann" {
		t.Errorf("second claim: %v", err)
	}
	// The same callback again, and the same person again: nothing more happens.
	for _, id := range []string{"m1", "m3"} {
		if _, err := do(t, b, answer(id, claim.Claim, "ann", w)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if k := w.kinds(); len(k) != 1 || k[0] != claim.Claimed {
		t.Errorf("events %v", k)
	}
	if len(w.silences) > 0 {
		t.Error("a claim silenced")
	}
	if _, err := do(t, b, answer("m4", claim.Release, "ben", w)); err != nil {
		t.Error(err)
	}
	if _, err := do(t, b, answer("m5", claim.Claim, "ben", w)); err != nil {
		t.Errorf("claim after release: %v", err)
	}
}

func TestSilenceIsMadeOnce(t *testing.T) {
	w := newWorld()
	b := open(t, config(t.TempDir(), w))
	told(t, b, true)
	for _, id := range []string{"m1", "m1", "m2"} {
		if _, err := do(t, b, answer(id, claim.Silence, "ann", w)); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(w.silences) != "[ann 30m0s]" {
		t.Errorf("silences %v", w.silences)
	}
	s, _ := b.Find(group(true).ID())
	if s.Silence(w.Now()) == nil || s.Silence(w.Now().Add(31*time.Minute)) != nil {
		t.Errorf("silenced %+v", s.Silenced)
	}
}

func TestNobodyClaimsGoesUpStepByStep(t *testing.T) {
	w := newWorld()
	b := open(t, config(t.TempDir(), w))
	told(t, b, true)
	steps := func(n int) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprint(n, " steps"), func() bool { told(t, b, true); return len(w.tellings()) >= n })
	}
	w.pass(9 * time.Minute)
	told(t, b, true)
	w.pass(time.Minute)
	steps(1)
	w.pass(10 * time.Minute)
	steps(2)
	w.pass(time.Hour)
	told(t, b, false)
	testkit.Eventually(t, "the end to be told", func() bool { return len(w.tellings()) == 3 })
	if got := fmt.Sprint(w.tellings()); got != "[oncall 1 true voice 2 true voice 0 false]" {
		t.Errorf("told %s: want the next on call, the voice, and the end where Alertmanager does not tell it", got)
	}
	if k := fmt.Sprint(w.kinds()); k != "[escalated escalated]" {
		t.Errorf("events %s", k)
	}
}

func TestWhatStopsSteps(t *testing.T) {
	cases := []struct {
		name string
		stop func(*testing.T, book, *world)
	}{
		{"claim", func(t *testing.T, b book, w *world) { mustDo(t, b, answer("m1", claim.Claim, "ann", w)) }},
		{"silence", func(t *testing.T, b book, w *world) { mustDo(t, b, answer("m1", claim.Silence, "ann", w)) }},
		{"end", func(t *testing.T, b book, _ *world) { told(t, b, false) }},
		{"silenced elsewhere", func(_ *testing.T, _ book, w *world) { w.set(func() { w.quiet = true }) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			b := open(t, config(t.TempDir(), w))
			told(t, b, true)
			c.stop(t, b, w)
			w.pass(11 * time.Minute)
			// Another matter that is due later shows that this one had its chance.
			other := group(true)
			other.Key = "other"
			if err := b.Told("oncall", other); err != nil {
				t.Fatal(err)
			}
			w.set(func() { w.quiet = c.name == "silenced elsewhere" })
			mustDo(t, b, claim.Answer{ID: "x", Key: "other", Action: claim.Escalate, By: claim.Person{Name: "x"}, At: w.Now()})
			if got := w.tellings(); len(got) != 1 {
				t.Errorf("told %v, want only what was asked for", got)
			}
		})
	}
}

func mustDo(t *testing.T, b book, a claim.Answer) {
	t.Helper()
	if _, err := do(t, b, a); err != nil {
		t.Fatal(err)
	}
}

func TestTicketsDoNotGoUp(t *testing.T) {
	w := newWorld()
	b := open(t, config(t.TempDir(), w))
	g := group(true)
	g.Alerts[0].Labels["severity"] = "ticket"
	if err := b.Told("oncall", g); err != nil {
		t.Fatal(err)
	}
	if s, _ := b.Find(g.Key); !s.Due.IsZero() {
		t.Errorf("due %v", s.Due)
	}
}

func TestRestartKnowsEverything(t *testing.T) {
	w, dir := newWorld(), t.TempDir()
	b := open(t, config(dir, w))
	told(t, b, true)
	if err := b.AddCard(group(true).Key, claim.Card{Robot: "oncall", ID: "kd-1"}); err != nil {
		t.Fatal(err)
	}
	mustDo(t, b, answer("m1", claim.Claim, "ann", w))
	b.stop()
	b = open(t, config(dir, w))
	if s, ok := b.ByCard("kd-1"); !ok || s.Claim(w.Now()) == nil || s.Claimed.By.Name != "ann" {
		t.Fatalf("after a restart: %v %+v", ok, s)
	}
	mustDo(t, b, answer("m1", claim.Claim, "ann", w)) // pushed again, to the new process
	if k := w.kinds(); len(k) != 1 {
		t.Errorf("events %v", k)
	}
	// The claim ends unanswered, and the timer survived too.
	b.stop()
	w.pass(4*time.Hour + 20*time.Minute)
	b = open(t, config(dir, w))
	testkit.Eventually(t, "a step", func() bool { return len(w.tellings()) == 1 })
	if got := w.tellings(); got[0] != "oncall 1 true" {
		t.Errorf("told %v, want one step at a time", got)
	}
}

// An answer that was accepted and not worked on is worked on after the restart.
func TestAcceptedAnswerSurvivesAKill(t *testing.T) {
	w, dir := newWorld(), t.TempDir()
	b, err := claim.New(config(dir, w), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Told("oncall", group(true)), b.Accept(answer("m1", claim.Claim, "ann", w))); err != nil {
		t.Fatal(err)
	}
	// Killed: nothing is closed, and the last line is torn.
	name := filepath.Join(dir, "claims.log")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Close(), os.WriteFile(name, append(text, `0000 {"asked":`...), 0o600)); err != nil {
		t.Fatal(err)
	}
	again := open(t, config(dir, w))
	testkit.Eventually(t, "the claim", func() bool { s, _ := again.Find(group(true).Key); return s.Claimed != nil })
}

func TestAnswersWithoutEffectSayWhy(t *testing.T) {
	w := newWorld()
	cfg := config(t.TempDir(), w)
	cfg.After, cfg.Steps = 0, nil
	b := open(t, cfg)
	if _, err := do(t, b, answer("m0", claim.Claim, "ann", w)); !errors.Is(err, claim.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
	told(t, b, true)
	if _, err := do(t, b, answer("m1", claim.Escalate, "ann", w)); !errors.Is(err, claim.ErrNoSteps) {
		t.Errorf("no steps: %v", err)
	}
	if _, err := do(t, b, answer("m2", claim.Release, "ann", w)); !errors.Is(err, claim.ErrNobody) {
		t.Errorf("nobody: %v", err)
	}
	told(t, b, false)
	if _, err := do(t, b, answer("m3", claim.Claim, "ann", w)); !errors.Is(err, claim.ErrEnded) {
		t.Errorf("ended: %v", err)
	}
	if err := b.Accept(answer("m4", "explode", "ann", w)); err == nil {
		t.Error("an action that does not exist was accepted")
	}
	if len(w.refused) != 4 {
		t.Errorf("refused %v", w.refused)
	}
	// The same matter anew is a new one.
	w.pass(time.Minute)
	told(t, b, true)
	mustDo(t, b, answer("m5", claim.Claim, "ben", w))
}

func TestEndedMattersAreForgotten(t *testing.T) {
	w, dir := newWorld(), t.TempDir()
	b := open(t, config(dir, w))
	told(t, b, true)
	told(t, b, false)
	w.pass(25 * time.Hour)
	b.stop()
	b = open(t, config(dir, w))
	testkit.Eventually(t, "the matter to be forgotten", func() bool { return len(b.List()) == 0 })
}

// Whatever happens in whatever order, with restarts: at most one person has a
// matter, an answer is an event at most once, and what was claimed is not raised.
func TestRandomLives(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		w, dir := newWorld(), t.TempDir()
		b := open(t, config(dir, w))
		for i := range 60 {
			switch r.IntN(8) {
			case 0:
				told(t, b, r.IntN(4) > 0)
			case 1:
				w.pass(time.Duration(r.IntN(15)) * time.Minute)
			case 2:
				b.stop()
				b = open(t, config(dir, w))
			default:
				a := claim.Actions()[r.IntN(4)]
				id := fmt.Sprint("m", r.IntN(i+1))
				_, _ = do(t, b, answer(id, a, string(rune('a'+r.IntN(3))), w))
			}
			for _, s := range b.List() {
				now := w.Now()
				if s.Claim(now) != nil && !s.Due.IsZero() && s.Due.Before(s.Claimed.Until) {
					t.Fatalf("seed %d: claimed until %v and due %v", seed, s.Claimed.Until, s.Due)
				}
				if !s.Open() && !s.Due.IsZero() {
					t.Fatalf("seed %d: ended and due", seed)
				}
			}
		}
		b.stop()
		seen := map[string]bool{}
		for _, e := range w.events {
			if key := e.ID + string(e.Kind); seen[key] {
				t.Fatalf("seed %d: event %s twice", seed, e.ID)
			}
			seen[e.ID+string(e.Kind)] = true
		}
	}
}

func TestConfigProblemsAllAtOnce(t *testing.T) {
	err := claim.Config{After: 1, ClaimFor: -1}.Validate()
	for _, field := range []string{"dir", "steps", "claimFor", "silenceFor", "keep"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}
