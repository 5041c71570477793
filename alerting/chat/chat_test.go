package chat_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/chat"
	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/dingtalk/stream"
	"github.com/kongdao/kongdao/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 30 * time.Second
	secret   = "chat-secret-nobody-sees"
)

// rig is a chat with its book, against a stand-in.
type rig struct {
	*chat.Chat
	book *claim.Book
	ding *dingtalktest.Server
	stop func()

	mu       sync.Mutex
	silences []string
}

func startDing(t testing.TB) *dingtalktest.Server {
	t.Helper()
	return dingtalktest.Start(t, dingtalktest.Config{App: &dingtalktest.App{
		ClientID: "ding-app", ClientSecret: secret, Conversations: []string{"cid"}, Templates: []string{"tpl"},
		Users: []string{"u-ann", "u-ben", "u-eve"}, Repeat: []time.Duration{100 * time.Millisecond, patience},
	}})
}

func robots(ding *dingtalktest.Server) []dingtalk.Robot {
	return []dingtalk.Robot{{Name: "oncall", App: &dingtalk.App{
		ClientID: "ding-app", ClientSecret: api.Secret(secret), Conversation: "cid", Template: "tpl", OpenAPI: "http://" + ding.Addr(),
	}}}
}

// who lets ann and ben answer, and not eve.
func who(user string, _ dingtalk.Group) (string, error) {
	if user == "u-eve" {
		return "", &chat.NotYoursError{Team: "feed"}
	}
	return strings.TrimPrefix(user, "u-"), nil
}

func start(t testing.TB, dir string, ding *dingtalktest.Server) *rig {
	t.Helper()
	r := &rig{ding: ding}
	log := slog.New(slog.DiscardHandler)
	cfg := claim.DefaultConfig(dir)
	cfg.After, cfg.Steps = time.Hour, []string{claim.Next}
	cfg.Hooks = claim.Hooks{
		Silence: func(_ context.Context, g dingtalk.Group, by, _ string, _ time.Time) (string, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.silences = append(r.silences, by+" "+g.Name())
			return "s1", nil
		},
		Tell:    func(string, dingtalk.Group) error { return nil },
		Refused: func(a claim.Answer, err error) { r.Refused(a, err) },
		Changed: func(s claim.State) { r.Changed(s) },
	}
	var err error
	if r.book, err = claim.New(cfg, log); err != nil {
		t.Fatal(err)
	}
	sc := stream.DefaultConfig()
	sc.FirstRetry, sc.LastRetry = time.Millisecond, 50*time.Millisecond
	if r.Chat, err = chat.New(chat.Config{Dir: dir, Lang: dingtalk.English, Steps: 1, Who: who, Stream: sc}, r.book, log); err != nil {
		t.Fatal(err)
	}
	if err := r.SetRobots(robots(ding)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.book.Run(ctx) })
	running.Go(func() { _ = r.Run(ctx) })
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			running.Wait()
			if err := r.book.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(r.stop)
	if err := ding.WaitStreams(within(t), 1); err != nil {
		t.Fatal(err)
	}
	return r
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func group(sequence uint64, firing bool) dingtalk.Group {
	a := dingtalk.Alert{Labels: map[string]string{"alertname": "Broken", "severity": "page"}, Annotations: map[string]string{"summary": "it broke"}, StartsAt: time.Now(), Fingerprint: "f1"}
	if !firing {
		a.EndsAt = time.Now()
	}
	return dingtalk.Group{Key: "key", Sequence: sequence, Labels: map[string]string{"alertname": "Broken"}, Alerts: []dingtalk.Alert{a}}
}

// tell does what the alerter does for a message.
func (r *rig) tell(t testing.TB, g dingtalk.Group) {
	t.Helper()
	if err := r.book.Told("oncall", g); err != nil {
		t.Fatal(err)
	}
	for _, m := range (dingtalk.Renderer{Lang: dingtalk.English}).Render(g, time.Now()) {
		if err := r.Send(within(t), "oncall", m); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) wait(t testing.TB, what string, enough func([]dingtalktest.Card) bool) []dingtalktest.Card {
	t.Helper()
	got, err := r.ding.WaitCards(within(t), enough)
	if err != nil {
		t.Fatalf("%s: %v: %v; refused %v", what, err, got, r.ding.AppRefusals())
	}
	return got
}

func (r *rig) press(t testing.TB, card, user, action string) {
	t.Helper()
	if _, err := r.ding.Click(within(t), dingtalktest.Click{Card: card, User: user, Action: action}); err != nil {
		t.Fatal(err)
	}
}

func all(name, value string) func([]dingtalktest.Card) bool {
	return func(cards []dingtalktest.Card) bool {
		for _, c := range cards {
			if c.Params[name] != value {
				return false
			}
		}
		return len(cards) > 0
	}
}

func TestClaimIsSeenOnEveryCard(t *testing.T) {
	r := start(t, t.TempDir(), startDing(t))
	r.tell(t, group(1, true))
	r.tell(t, group(2, true))
	cards := r.ding.Cards()
	if len(cards) != 2 || cards[0].Params["state"] != "firing" || cards[0].Params["can_claim"] != "true" || cards[0].Params["status"] != "unclaimed" || !strings.Contains(cards[0].Params["text"], "it broke") {
		t.Fatalf("cards %+v", cards)
	}
	r.press(t, cards[0].ID, "u-ann", "claim")
	cards = r.wait(t, "the claim on both cards", all("state", "claimed"))
	if s := cards[1].Params["status"]; !strings.HasPrefix(s, "claimed by ann") {
		t.Errorf("status %q", s)
	}
	r.press(t, cards[1].ID, "u-ben", "claim")
	cards = r.wait(t, "a notice for ben", func(c []dingtalktest.Card) bool { return c[1].Private["u-ben"]["notice"] != "" })
	if n := cards[1].Private["u-ben"]["notice"]; !strings.HasPrefix(n, "ann has claimed it") {
		t.Errorf("notice %q", n)
	}
	r.tell(t, group(3, false))
	cards = r.wait(t, "the end on all cards", all("state", "resolved"))
	if len(cards) != 3 || !all("can_silence", "false")(cards) {
		t.Errorf("cards %+v", cards)
	}
	if e := r.ding.StreamErrors(); len(e) > 0 {
		t.Error(e)
	}
}

func TestSilenceFromTheChat(t *testing.T) {
	r := start(t, t.TempDir(), startDing(t))
	r.tell(t, group(1, true))
	card := r.ding.Cards()[0]
	// DingTalk loses our answer and pushes the press again.
	if n, err := r.ding.Click(within(t), dingtalktest.Click{Card: card.ID, User: "u-ann", Action: "silence", LoseAnswers: 1}); err != nil || n != 2 {
		t.Fatalf("%d pushes, %v", n, err)
	}
	r.wait(t, "the silence", all("state", "silenced"))
	if fmt.Sprint(r.silences) != "[ann Broken]" {
		t.Errorf("silences %v", r.silences)
	}
}

func TestOnlyPeopleOfTheTeamMay(t *testing.T) {
	r := start(t, t.TempDir(), startDing(t))
	r.tell(t, group(1, true))
	card := r.ding.Cards()[0]
	r.press(t, card.ID, "u-eve", "silence")
	cards := r.wait(t, "a notice for eve", func(c []dingtalktest.Card) bool { return c[0].Private["u-eve"]["notice"] != "" })
	if n := cards[0].Private["u-eve"]["notice"]; !strings.Contains(n, "team feed") {
		t.Errorf("notice %q", n)
	}
	if s, _ := r.book.Find("key"); s.Silenced != nil || len(r.silences) > 0 {
		t.Errorf("it was silenced: %+v %v", s.Silenced, r.silences)
	}
}

// DingTalk fails and hangs, the process restarts in between: in the end the card
// shows what is known.
func TestCardsAreMadeCurrentOverFailuresAndRestarts(t *testing.T) {
	ding, dir := startDing(t), t.TempDir()
	r := start(t, dir, ding)
	r.tell(t, group(1, true))
	card := ding.Cards()[0]
	busy := dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: 500}
	ding.InjectApp(dingtalktest.PathUpdate, busy, dingtalktest.Fault{Kind: dingtalktest.LoseAnswer}, busy)
	r.press(t, card.ID, "u-ann", "claim")
	r.wait(t, "the claim", all("state", "claimed"))
	r.stop()

	// The end becomes known while DingTalk takes nothing; the next run makes up for it.
	ding.InjectApp(dingtalktest.PathUpdate, busy, busy, busy)
	r = start(t, dir, ding)
	if err := r.book.Told("oncall", group(2, false)); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r = start(t, dir, ding)
	r.wait(t, "the end", all("state", "resolved"))
}

// People are mentioned as cards do it: by their ids, and by name in the text.
func TestCardMentionsPeople(t *testing.T) {
	r := start(t, t.TempDir(), startDing(t))
	m := dingtalk.Message{Title: "Broken", Text: "### Broken\n\nit broke\n\n@u-ann @u-ben", AtUsers: []string{"u-ann", "u-ben"}}
	if err := r.Send(within(t), "oncall", m); err != nil {
		t.Fatal(err)
	}
	c := r.ding.Cards()[0]
	if want := "it broke\n\n<a atId=u-ann>u-ann</a> <a atId=u-ben>u-ben</a>"; c.Params["text"] != want || len(c.At) != 2 {
		t.Errorf("text %q, at %v", c.Params["text"], c.At)
	}
}

func TestTheSameMessageIsOneCard(t *testing.T) {
	r := start(t, t.TempDir(), startDing(t))
	r.tell(t, group(1, true))
	r.tell(t, group(1, true))
	if n := len(r.ding.Cards()); n != 1 {
		t.Errorf("%d cards", n)
	}
	// The same number from another installation is another message.
	other := start(t, t.TempDir(), r.ding)
	other.tell(t, group(1, true))
	if n := len(r.ding.Cards()); n != 2 {
		t.Errorf("%d cards", n)
	}
}

// Of two instances DingTalk tells either: the one that was not told of the matter
// leaves the press to the other.
func TestPressReachesTheInstanceThatKnows(t *testing.T) {
	ding := startDing(t)
	r := start(t, t.TempDir(), ding)
	other := start(t, t.TempDir(), ding)
	if err := ding.WaitStreams(within(t), 2); err != nil {
		t.Fatal(err)
	}
	r.tell(t, group(1, true))
	card := ding.Cards()[0]
	for _, action := range []string{"claim", "silence"} {
		r.press(t, card.ID, "u-ann", action)
	}
	r.wait(t, "both", all("state", "silenced"))
	if s, _ := r.book.Find("key"); s.Claimed == nil || len(other.book.List()) > 0 {
		t.Errorf("%+v, and elsewhere %v", s, other.book.List())
	}
}

func TestRobotsAreReplacedWhileItRuns(t *testing.T) {
	ding := startDing(t)
	r := start(t, t.TempDir(), ding)
	if err := r.SetRobots(nil); err != nil {
		t.Fatal(err)
	}
	if err := ding.WaitStreams(within(t), 0); err != nil {
		t.Fatal(err)
	}
	err := r.Send(within(t), "oncall", dingtalk.Message{Title: "x", Text: "y"})
	if r.Has("oncall") || dingtalk.KindOf(err) != dingtalk.Permanent || err == nil {
		t.Errorf("a robot that is gone: %v", err)
	}
	two := append(robots(ding), robots(ding)...)
	two[1].Name = "second"
	if err := r.SetRobots(two); err != nil {
		t.Fatal(err)
	}
	if err := ding.WaitStreams(within(t), 1); err != nil { // of one app, one stream
		t.Fatal(err)
	}
	if err := r.SetRobots([]dingtalk.Robot{{Name: "bad", App: &dingtalk.App{}}}); err == nil {
		t.Error("a wrong app was taken")
	}
}

// Whatever is pushed, nothing is done that was not asked for.
func FuzzPresses(f *testing.F) {
	ding := startDing(f)
	r := start(f, f.TempDir(), ding)
	r.tell(f, group(1, true))
	id := ding.Cards()[0].ID
	for _, seed := range []string{
		`{}`, `null`, `{"outTrackId":"` + id + `"}`, `{"outTrackId":"` + id + `","userId":"u-ann","content":"{}"}`,
		`{"outTrackId":"` + id + `","userId":"u-eve","content":"{\"cardPrivateData\":{\"actionIds\":[\"claim\"]}}"}`,
		`{"outTrackId":"kd-a-0000000000000000-1-1","userId":"u-ann","content":"{\"params\":{\"action\":\"silence\"}}"}`,
		`{"outTrackId":"kd-----","userId":1,"content":{}}`, `{"value":"{\"cardPrivateData\":{\"params\":{\"action\":[]}}}"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		if data == "" || strings.Contains(data, "u-ann") && strings.Contains(data, id) {
			return
		}
		ctx, cancel := context.WithTimeout(within(t), 20*time.Millisecond)
		defer cancel()
		if _, err := ding.Click(ctx, dingtalktest.Click{Raw: data}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if s, _ := r.book.Find("key"); s.Claimed != nil && s.Claimed.By.UserID == "u-eve" || s.Silenced != nil {
			t.Fatalf("%+v", s)
		}
		if e := ding.StreamErrors(); len(e) > 0 {
			t.Fatal(e)
		}
	})
}

// BenchmarkPress is the way from a button to the silence and to the card that
// everybody sees; the stand-in answers at once.
func BenchmarkPress(b *testing.B) {
	ding := startDing(b)
	r := start(b, b.TempDir(), ding)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		g := group(uint64(i+1), true)
		g.Key = fmt.Sprint("key-", i)
		r.tell(b, g)
		cards := ding.Cards()
		id := cards[len(cards)-1].ID
		begin := time.Now()
		r.press(b, id, "u-ann", "silence")
		r.wait(b, "the silence", func(c []dingtalktest.Card) bool { return c[len(c)-1].Params["state"] == "silenced" })
		took = append(took, time.Since(begin))
	}
	report(b, took)
}
