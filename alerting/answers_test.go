package alerting_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

const appSecret = "app-secret-nobody-sees"

func startDing(t *testing.T) *dingtalktest.Server {
	t.Helper()
	return dingtalktest.Start(t, dingtalktest.Config{App: &dingtalktest.App{
		ClientID: "ding-app", ClientSecret: appSecret, Conversations: []string{"cid"}, Templates: []string{"tpl"}, Users: []string{"u-ann", "u-ben"},
	}})
}

func appConfig(t *testing.T, target *gauges, ding *dingtalktest.Server) alerting.Config {
	t.Helper()
	cfg := config(t.TempDir(), target.addr(), ding)
	cfg.Robots = []alerting.Robot{{Name: "oncall", App: &dingtalk.App{
		ClientID: "ding-app", ClientSecret: api.Secret(appSecret), Conversation: "cid", Template: "tpl", OpenAPI: "http://" + ding.Addr(),
	}}}
	cfg.Lang = dingtalk.English
	return cfg
}

func cards(t *testing.T, ding *dingtalktest.Server, enough func([]dingtalktest.Card) bool) []dingtalktest.Card {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := ding.WaitCards(ctx, enough)
	if err != nil {
		t.Fatalf("%v: %+v; refused %v", err, got, ding.AppRefusals())
	}
	return got
}

// From a fault to a card, from a button to a silence of Alertmanager's, and from the
// end to all cards.
func TestAnswerInTheChat(t *testing.T) {
	target, ding := serveGauges(t), startDing(t)
	a := start(t, appConfig(t, target, ding))
	if err := a.Test(t.Context(), "oncall"); err != nil || len(ding.Cards()) != 1 {
		t.Fatalf("test message: %v, %d cards", err, len(ding.Cards()))
	}
	target.broken.Store(1)
	first := cards(t, ding, func(c []dingtalktest.Card) bool { return len(c) == 2 })[1]
	if first.Params["state"] != "firing" || !strings.Contains(first.Params["text"], "feed is broken") {
		t.Fatalf("card %+v", first)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := ding.WaitStreams(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"claim", "silence"} {
		if _, err := ding.Click(ctx, dingtalktest.Click{Card: first.ID, User: "u-ann", Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	now := cards(t, ding, func(c []dingtalktest.Card) bool { return c[1].Params["state"] == "silenced" })[1]
	if s := now.Params["status"]; !strings.Contains(s, "claimed by u-ann") || !strings.Contains(s, "silenced by u-ann until") {
		t.Errorf("status %q", s)
	}
	var silences []struct {
		CreatedBy string
		Matchers  []struct{ Name, Value string }
		StartsAt  time.Time
		EndsAt    time.Time
	}
	if err := json.Unmarshal([]byte(get(t, "http://"+a.Addr()+"/api/v2/silences")), &silences); err != nil {
		t.Fatal(err)
	}
	if len(silences) != 1 || silences[0].CreatedBy != "u-ann" || len(silences[0].Matchers) != 2 || silences[0].EndsAt.Sub(silences[0].StartsAt).Round(time.Minute) != 30*time.Minute {
		t.Errorf("silences %+v", silences)
	}
	kinds := map[string]string{}
	events, _, err := a.Ledger().Read(1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		kinds[string(e.Kind)] = e.By
	}
	if kinds["claimed"] != "u-ann" || kinds["silenced"] != "u-ann" {
		t.Errorf("ledger %v", kinds)
	}
}

func TestUnclaimedPageGoesUp(t *testing.T) {
	target, ding := serveGauges(t), startDing(t)
	cfg := appConfig(t, target, ding)
	cfg.Robots = append(cfg.Robots, alerting.Robot{Name: "voice", URL: api.Secret(ding.URL("token"))})
	cfg.Escalation = alerting.Escalation{After: api.Duration(300 * time.Millisecond), To: []string{"voice"}}
	a := start(t, cfg)
	target.broken.Store(1)
	wait(t, ding, 1)
	states := a.Claims()
	if len(states) != 1 || states[0].Level != 1 {
		testkit.Eventually(t, "the step to be written down", func() bool { s := a.Claims(); return len(s) == 1 && s[0].Level == 1 })
		states = a.Claims()
	}
	cards(t, ding, func(c []dingtalktest.Card) bool { return strings.Contains(c[0].Params["status"], "step 1 up: voice") })
	// The end reaches those, too, whom Alertmanager knows nothing of.
	target.broken.Store(0)
	if got := wait(t, ding, 2); !strings.Contains(got[1].Title, "RESOLVED") {
		t.Errorf("second message to voice: %s", got[1].Title)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := a.Answer(ctx, claim.Answer{ID: "x", Key: states[0].Key, Action: claim.Claim, By: claim.Person{Name: "ann"}, At: time.Now()}); err == nil {
		t.Error("a matter that ended was claimed")
	}
}

// What the app refuses for good goes out without buttons, where there is an address.
func TestRefusedCardIsSentAsMessage(t *testing.T) {
	target, ding := serveGauges(t), startDing(t)
	cfg := appConfig(t, target, ding)
	cfg.Robots[0].App.Template, cfg.Robots[0].URL = "unpublished", api.Secret(ding.URL("token"))
	start(t, cfg)
	target.broken.Store(1)
	wait(t, ding, 1)
}
