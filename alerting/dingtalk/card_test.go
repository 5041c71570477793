package dingtalk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
)

const appSecret = "app-secret-nobody-sees"

func startApp(t *testing.T, now func() time.Time) (*dingtalktest.Server, *dingtalk.AppClient) {
	t.Helper()
	s := dingtalktest.Start(t, dingtalktest.Config{Now: now, App: &dingtalktest.App{
		ClientID: "ding-app", ClientSecret: appSecret, Conversations: []string{"cid-oncall"},
		Templates: []string{"tpl.schema"}, Users: []string{"u1", "u2"},
	}})
	return s, appClient(t, s, dingtalk.App{})
}

func appClient(t *testing.T, s *dingtalktest.Server, a dingtalk.App) *dingtalk.AppClient {
	t.Helper()
	a.ClientID, a.OpenAPI = "ding-app", "http://"+s.Addr()
	if a.ClientSecret == "" {
		a.ClientSecret = api.Secret(appSecret)
	}
	if a.Conversation == "" {
		a.Conversation = "cid-oncall"
	}
	if a.Template == "" {
		a.Template = "tpl.schema"
	}
	c, err := dingtalk.NewAppClient("oncall", a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func card(id string) dingtalk.Card {
	return dingtalk.Card{ID: id, Title: "Broken", Params: map[string]string{"title": "Broken", "state": "firing"}, At: map[string]string{"u1": "Ann"}}
}

func TestCardIsDeliveredAndChangedInPlace(t *testing.T) {
	s, c := startApp(t, nil)
	id, err := c.Deliver(t.Context(), card("kd-1"))
	if err != nil || id != "kd-1" {
		t.Fatalf("deliver: %q %v", id, err)
	}
	err = c.Update(t.Context(), dingtalk.CardUpdate{ID: id, Params: map[string]string{"state": "claimed"}, Private: map[string]map[string]string{"u2": {"notice": "no"}}})
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	got := s.Cards()
	if len(got) != 1 || got[0].Params["title"] != "Broken" || got[0].Params["state"] != "claimed" || got[0].Private["u2"]["notice"] != "no" || got[0].At["u1"] != "Ann" {
		t.Errorf("cards %+v", got)
	}
	if n := s.TokensGiven(); n != 1 {
		t.Errorf("%d tokens were asked for, want one for both requests", n)
	}
}

// An answer that is lost after acceptance must not double a card.
func TestCardIsThereOnce(t *testing.T) {
	s, c := startApp(t, nil)
	s.InjectApp(dingtalktest.PathCreate, dingtalktest.Fault{Kind: dingtalktest.LoseAnswer})
	_, err := c.Deliver(t.Context(), card("kd-1"))
	if dingtalk.KindOf(err) != dingtalk.Transient || err == nil {
		t.Fatalf("lost answer: %v", err)
	}
	if id, err := c.Deliver(t.Context(), card("kd-1")); err != nil || id != "kd-1" {
		t.Fatalf("second try: %q %v", id, err)
	}
	if n := len(s.Cards()); n != 1 {
		t.Errorf("%d cards", n)
	}
}

func TestTokenIsRenewed(t *testing.T) {
	s, c := startApp(t, nil)
	deliver := func(id string) {
		t.Helper()
		if _, err := c.Deliver(t.Context(), card(id)); err != nil {
			t.Fatal(err)
		}
	}
	deliver("a")
	s.ExpireToken()
	deliver("b")
	if n := s.TokensGiven(); n != 2 {
		t.Errorf("%d tokens, want a second one after the first was refused", n)
	}
	// Many at once after that still ask once.
	s.ExpireToken()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := c.Deliver(context.WithoutCancel(t.Context()), card(fmt.Sprint("c", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.TokensGiven(); n > 2+20 || len(s.Cards()) != 22 {
		t.Errorf("%d tokens, %d cards", n, len(s.Cards()))
	}
}

func TestRefusalsOfCardsAreJudged(t *testing.T) {
	s, c := startApp(t, nil)
	fault := func(kind dingtalktest.FaultKind, code int) func() {
		return func() { s.InjectApp(dingtalktest.PathCreate, dingtalktest.Fault{Kind: kind, Code: code}) }
	}
	nothing := func() {}
	cases := []struct {
		name   string
		client *dingtalk.AppClient
		fault  func()
		kind   dingtalk.Kind
		text   string
	}{
		{"busy", c, fault(dingtalktest.Errcode, 500), dingtalk.Transient, "system.busy"},
		{"gateway", c, fault(dingtalktest.HTTPStatus, 502), dingtalk.Transient, "HTTP 502"},
		{"too many", c, fault(dingtalktest.HTTPStatus, 429), dingtalk.Transient, "HTTP 429"},
		{"cut", c, fault(dingtalktest.LoseAnswer, 0), dingtalk.Transient, "no answer"},
		{"template", appClient(t, s, dingtalk.App{Template: "other"}), nothing, dingtalk.Permanent, "param.templateNotExist"},
		{"secret", appClient(t, s, dingtalk.App{ClientSecret: "wrong-secret"}), nothing, dingtalk.Permanent, "invalidClientIdOrSecret"},
		{"robot", appClient(t, s, dingtalk.App{RobotCode: "other"}), nothing, dingtalk.Permanent, "param.openDeliverModelError"},
	}
	for _, k := range cases {
		k.fault()
		_, err := k.client.Deliver(t.Context(), card("id-"+k.name))
		if err == nil || dingtalk.KindOf(err) != k.kind || !strings.Contains(err.Error(), k.text) {
			t.Errorf("%s: %v, want %v with %q", k.name, err, k.kind, k.text)
		}
		for _, secret := range []string{appSecret, "wrong-secret", "access-token"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v holds %s", k.name, err, secret)
			}
		}
	}
}

// DingTalk makes a card and then cannot deliver it: the same ID would be taken for
// delivered from then on.
func TestCardThatWasMadeAndNotDelivered(t *testing.T) {
	s, _ := startApp(t, nil)
	c := appClient(t, s, dingtalk.App{Conversation: "cid-gone"})
	var kinds []dingtalk.Kind
	for range 3 {
		_, err := c.Deliver(t.Context(), card("kd-1"))
		if err == nil {
			t.Fatal("a card that nobody sees counts as delivered")
		}
		kinds = append(kinds, dingtalk.KindOf(err))
	}
	if kinds[0] != dingtalk.Transient || kinds[2] != dingtalk.Permanent {
		t.Errorf("kinds %v, want tries and then the end", kinds)
	}
}

func TestHangingAnswerEndsWithTheContext(t *testing.T) {
	s, c := startApp(t, nil)
	s.InjectApp(dingtalktest.PathToken, dingtalktest.Fault{Kind: dingtalktest.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := c.Deliver(ctx, card("kd-1")); dingtalk.KindOf(err) != dingtalk.Transient || err == nil {
		t.Errorf("error %v", err)
	}
}

// What is put into a card always fits, whatever the text.
func TestPagesOfCards(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		text := randomText(r, r.IntN(2000))
		n := 1 + r.IntN(4)
		pages := dingtalk.Pages(text, n)
		if len(pages) > n {
			t.Fatalf("%d pages, want at most %d", len(pages), n)
		}
		for _, p := range pages {
			if len(p) > dingtalk.MaxParam || !utf8.ValidString(p) {
				t.Fatalf("a page of %d bytes, valid %v", len(p), utf8.ValidString(p))
			}
		}
		flat := func(s string) string { return strings.ReplaceAll(s, "\n", "") }
		whole := flat(strings.Join(pages, ""))
		if cut := strings.TrimSuffix(whole, "…"); !strings.HasPrefix(flat(text), cut) {
			t.Fatalf("pages do not follow each other: %q", pages)
		}
		if len(text) <= dingtalk.MaxParam && whole != flat(text) {
			t.Fatal("a short text was changed")
		}
	}
}

func randomText(r *rand.Rand, n int) string {
	runes := []rune("aé告🔴\n")
	var b strings.Builder
	for range n {
		b.WriteRune(runes[r.IntN(len(runes))])
	}
	return b.String()
}

func TestAppProblemsAllAtOnce(t *testing.T) {
	err := dingtalk.Robot{Name: "r", App: &dingtalk.App{OpenAPI: "nowhere"}}.Validate()
	for _, field := range []string{"clientId", "clientSecret", "openConversationId", "cardTemplate", "openAPI"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	good := dingtalk.Robot{Name: "r", App: &dingtalk.App{ClientID: "a", ClientSecret: "b", Conversation: "c", Template: "d"}}
	if err := good.Validate(); err != nil {
		t.Errorf("an app needs no url: %v", err)
	}
}
