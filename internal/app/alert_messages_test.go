package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/ledger"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/testkit"
)

// A robot that refuses everything until it is mended: the ledger says what was not
// told and why, and replay tells it once, as it is by then.
func TestWhatNobodyWasToldIsSentAgain(t *testing.T) {
	robot := dingtalktest.Start(t, dingtalktest.Config{Secret: "right"})
	cfg := testConfig(t)
	resource := func(secret string) {
		write(t, cfg.ResourcesDir, "secret-"+secret, secret)
		write(t, cfg.ResourcesDir, "robot.yaml", fmt.Sprintf("apiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: on-call}\nspec: {url: %q, secret: \"${file:%s/secret-%s}\"}\n"+
			"---\napiVersion: kongdao.io/v1\nkind: Channel\nmetadata: {name: team}\nspec: {robots: [on-call]}\n", robot.URL("token"), cfg.ResourcesDir, secret))
	}
	resource("wrong")
	s := start(t, cfg, app.PartCollector, app.PartAlerting, app.PartAPI)
	c := caller{t, s, http.DefaultClient}

	now := time.Now()
	raise := func(name string, end time.Time) {
		t.Helper()
		body := fmt.Sprintf(`[{"labels":{"alertname":%q,"severity":"page","function":"feed"},"startsAt":%q,"endsAt":%q}]`,
			name, now.Add(-time.Minute).Format(time.RFC3339), end.Format(time.RFC3339))
		res, err := http.Post("http://"+s.Addresses().Alertmanager+"/api/v2/alerts", "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("alert %s: %s", name, res.Status)
		}
	}
	raise("StillOn", now.Add(time.Hour))
	raise("OverSoon", now.Add(time.Hour))
	history := func(query string) (kinds string) {
		var list app.AlertMessages
		if status := c.api(http.MethodGet, "/alerts/messages?"+query, nil, &list); status != http.StatusOK {
			t.Fatalf("history answers %d", status)
		}
		for _, e := range list.Events {
			kinds += e.Channel + ":" + string(e.Kind) + " "
			if e.Kind == ledger.Dead && !strings.Contains(e.Reason, "sign not match") {
				t.Errorf("why not: %q", e.Reason)
			}
		}
		return strings.TrimSpace(kinds)
	}
	for _, name := range []string{"StillOn", "OverSoon"} {
		testkit.Eventually(t, name+" to be given up on", func() bool {
			return history("alert="+name+"&function=feed&channel=team") == "team:accepted team:tried team:refused team:dead"
		})
	}

	resource("right")
	testkit.Eventually(t, "the robot to be mended", func() bool {
		return c.api(http.MethodPost, "/robots/on-call/test", nil, nil) < 300
	})
	raise("OverSoon", now.Add(-time.Second))
	before := len(robot.Messages())
	var asked, done, again app.AlertReplayed
	replay := func(send bool, out *app.AlertReplayed) {
		t.Helper()
		if status := c.api(http.MethodPost, "/alerts/replay", app.AlertReplay{Since: now.Add(-time.Hour), Send: send}, out); status != http.StatusOK {
			t.Fatalf("replay answers %d", status)
		}
	}
	testkit.Eventually(t, "the end of OverSoon to be told", func() bool { return strings.Contains(told(robot), "OverSoon") })
	replay(false, &asked)
	if len(asked.Messages) != 1 || asked.Messages[0].Alert != "StillOn" || !asked.Messages[0].Firing || !strings.Contains(asked.Messages[0].Why, "sign not match") || asked.Sent {
		t.Errorf("would be sent: %+v", asked)
	}
	if n := len(robot.Messages()); n != before+1 {
		t.Errorf("%d messages by listing them", n-before-1)
	}
	replay(true, &done)
	testkit.Eventually(t, "StillOn to be told", func() bool { return strings.Contains(told(robot), "StillOn") })
	testkit.Eventually(t, "nothing to be left", func() bool {
		replay(false, &again)
		return len(again.Messages) == 0
	})
	if text := told(robot); strings.Count(text, "StillOn") != 1 {
		t.Errorf("told:\n%s", text)
	}
}

func told(robot *dingtalktest.Server) string {
	var all strings.Builder
	for _, m := range robot.Messages() {
		all.WriteString(m.Title + "\n")
	}
	return all.String()
}
