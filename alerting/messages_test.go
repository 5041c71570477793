package alerting_test

import (
	"bytes"
	"encoding/json"
	"image/png"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/chart"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/people"
	"github.com/kongdao/kongdao/api"
)

const owners = `
route: {receiver: owner, group_by: [alertname], group_wait: 100ms, group_interval: 300ms, repeat_interval: 1h}
receivers: [{name: owner}]
`

func directory(t *testing.T, owner string) *people.Directory {
	t.Helper()
	set, problems := api.Parse("p.yaml", []byte(`
apiVersion: kongdao.io/v1
kind: Person
metadata: {name: zhang3}
spec: {mobile: "13800000000"}
---
apiVersion: kongdao.io/v1
kind: Person
metadata: {name: li4}
spec: {userId: li4-id}
---
apiVersion: kongdao.io/v1
kind: Team
metadata: {name: payments}
spec: {members: [zhang3, li4], channel: pay, language: en}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set.Functions = []*api.Function{{Metadata: api.Metadata{Name: "feed", Owner: owner}}}
	return people.New(set)
}

func postAlerts(t *testing.T, a *running, labels ...map[string]string) {
	t.Helper()
	var alerts []map[string]any
	for _, l := range labels {
		alerts = append(alerts, map[string]any{"labels": l})
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+a.Addr()+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("posting alerts: %s", resp.Status)
	}
}

// Rules' alerts and those of others reach the team of the function, in its language,
// and ring its members; what is nobody's reaches the first robot.
func TestAlertsReachTheirOwners(t *testing.T) {
	target := serveGauges(t)
	robot := dingtalktest.Start(t, dingtalktest.Config{Secret: secret, Tokens: []string{"first", "pay"}})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Alertmanager = owners
	cfg.Robots = []alerting.Robot{
		{Name: "first", URL: api.Secret(robot.URL("first")), Secret: secret},
		{Name: "pay", URL: api.Secret(robot.URL("pay")), Secret: secret},
	}
	cfg.Messages.People = directory(t, "payments")
	cfg.Messages.Released = func(string, time.Time) (dingtalk.Release, bool) {
		return dingtalk.Release{Revision: "r7", At: time.Now().Add(-time.Hour)}, true
	}
	cfg.Links.ListenLinks = "127.0.0.1:0"
	a := start(t, cfg)

	target.broken.Store(1)
	got := wait(t, robot, 1)[0]
	for _, want := range []string{"FIRING", "feed is broken", "Team: payments", "Last release: r7", "@13800000000", "@li4-id"} {
		if !strings.Contains(got.Text, want) {
			t.Errorf("message lacks %q:\n%s", want, got.Text)
		}
	}
	if got.Token != "pay" || strings.Join(got.AtMobiles, "") != "13800000000" || strings.Join(got.AtUsers, "") != "li4-id" {
		t.Errorf("sent to %s, at %v %v", got.Token, got.AtMobiles, got.AtUsers)
	}

	if ways := a.Ways(map[string]string{"alertname": "Broken", "function": "feed"}); ways[0].Channel != "pay" {
		t.Errorf("the way of such an alert: %+v", ways)
	}
	looksAtChart(t, got.Text)

	// One group, three owners.
	labels := func(function, team string) map[string]string {
		return map[string]string{"alertname": "Posted", "severity": "ticket", "function": function, "team": team}
	}
	postAlerts(t, a, labels("feed", ""), labels("other", ""), labels("third", "payments"), labels("fourth", "unknown"))
	posted := map[string]string{}
	for _, m := range wait(t, robot, 3)[1:] {
		posted[m.Token] += m.Text
	}
	if !strings.Contains(posted["pay"], "feed") || !strings.Contains(posted["pay"], "third") || strings.Contains(posted["pay"], "other") {
		t.Errorf("the team reads\n%s", posted["pay"])
	}
	if !strings.Contains(posted["first"], "other") || !strings.Contains(posted["first"], "fourth") || strings.Contains(posted["first"], "third") {
		t.Errorf("the first robot says\n%s", posted["first"])
	}
}

// looksAtChart follows the picture in a message.
func looksAtChart(t *testing.T, text string) {
	t.Helper()
	_, address, _ := strings.Cut(text, "![Broken](")
	address, _, ok := strings.Cut(address, ")")
	if !ok {
		t.Fatalf("no picture in\n%s", text)
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 { // drawn, and kept
		resp, err := c.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := png.DecodeConfig(resp.Body)
		resp.Body.Close()
		if err != nil || cfg.Width != chart.Width || resp.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s: %s, %+v, %v", address, resp.Status, cfg, err)
		}
	}
	resp, err := c.Get(strings.Replace(address, "Broken", "Other", 1))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a changed address: %s", resp.Status)
	}
}

// A function that changes hands takes its alerts along.
func TestOwnersChangeWhileItRuns(t *testing.T) {
	robot := dingtalktest.Start(t, dingtalktest.Config{Secret: secret, Tokens: []string{"first", "pay"}})
	cfg := config(t.TempDir(), serveGauges(t).addr(), robot)
	cfg.Alertmanager = owners
	cfg.Robots = []alerting.Robot{
		{Name: "first", URL: api.Secret(robot.URL("first")), Secret: secret},
		{Name: "pay", URL: api.Secret(robot.URL("pay")), Secret: secret},
	}
	a := start(t, cfg)
	feed := func(name string) map[string]string {
		return map[string]string{"alertname": name, "severity": "page", "function": "feed"}
	}
	postAlerts(t, a, feed("Before"))
	if m := wait(t, robot, 1)[0]; m.Token != "first" || m.AtMobiles != nil {
		t.Errorf("before: %+v", m)
	}
	a.SetPeople(directory(t, "li4"))
	postAlerts(t, a, feed("Between"))
	if m := wait(t, robot, 2)[1]; m.Token != "first" || len(m.AtMobiles) != 0 || strings.Join(m.AtUsers, "") != "li4-id" {
		t.Errorf("of a person without a channel: %+v", m)
	}
	a.SetPeople(directory(t, "payments"))
	postAlerts(t, a, feed("After"))
	if m := wait(t, robot, 3)[2]; m.Token != "pay" || len(m.AtMobiles) != 1 {
		t.Errorf("after: %+v", m)
	}
}
