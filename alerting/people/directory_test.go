package people

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/api"
)

const resources = `
apiVersion: kongdao.io/v1
kind: Person
metadata: {name: zhang3}
spec: {name: 张三, mobile: "13800000000"}
---
apiVersion: kongdao.io/v1
kind: Person
metadata: {name: li4}
spec: {mobile: "+852-12345678", userId: li4-id, language: en, channel: li4-robot, mention: always}
---
apiVersion: kongdao.io/v1
kind: Team
metadata: {name: payments}
spec: {members: [zhang3, li4], channel: payments, language: zh, onCall: weekly}
---
apiVersion: kongdao.io/v1
kind: Team
metadata: {name: search}
spec: {members: [li4, zhang3], mention: never, language: en}
---
apiVersion: kongdao.io/v1
kind: Team
metadata: {name: feed}
spec: {members: [li4, zhang3], mention: always, language: en}
---
apiVersion: kongdao.io/v1
kind: OnCall
metadata: {name: weekly}
spec:
  timeZone: Asia/Shanghai
  start: 2026-11-02
  handover: "10:00"
  shiftDays: 7
  rotation: [zhang3, li4]
`

func directory(t *testing.T) *Directory {
	t.Helper()
	set, problems := api.Parse("people.yaml", []byte(resources))
	for name, owner := range map[string]string{"checkout": "payments", "notes": "li4", "orphan": "somebody", "nobodys": ""} {
		set.Functions = append(set.Functions, &api.Function{Metadata: api.Metadata{Name: name, Owner: owner}})
	}
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return New(set)
}

var (
	zhang3 = dingtalk.Person{Name: "张三", Mobile: "13800000000"}
	li4    = dingtalk.Person{Name: "li4", Mobile: "+852-12345678", UserID: "li4-id"}
)

func alert(team, severity string, ended bool) dingtalk.Alert {
	a := dingtalk.Alert{Labels: map[string]string{"team": team, "severity": severity}, Fingerprint: team + severity}
	if ended {
		a.EndsAt = time.Unix(1, 0)
	}
	return a
}

func TestOwners(t *testing.T) {
	d := directory(t)
	for function, want := range map[string][2]string{
		"checkout": {"payments", "payments"}, "notes": {"li4", "li4-robot"}, "orphan": {"", ""}, "nobodys": {"", ""}, "unknown": {"", ""},
	} {
		owner := d.Owner(function)
		if owner != want[0] || d.Channel(owner) != want[1] {
			t.Errorf("%s belongs to %q, read in %q, want %q", function, owner, d.Channel(owner), want)
		}
	}
	var none *Directory
	if none.Owner("checkout") != "" || none.Channel("payments") != "" || none.Members("payments") != nil || none.Called("payments", time.Now()) != nil {
		t.Error("nobody is known, but somebody answers")
	}
}

func TestAudience(t *testing.T) {
	d := directory(t)
	first := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	second := first.AddDate(0, 0, 7)
	cases := map[string]struct {
		alerts []dingtalk.Alert
		at     time.Time
		want   dingtalk.Audience
	}{
		"a page calls who is on call":       {[]dingtalk.Alert{alert("payments", "page", false)}, first, dingtalk.Audience{Lang: "zh", Team: "payments", People: []dingtalk.Person{zhang3}}},
		"a week later the next one":         {[]dingtalk.Alert{alert("payments", "page", false)}, second, dingtalk.Audience{Lang: "zh", Team: "payments", People: []dingtalk.Person{li4}}},
		"a ticket calls nobody":             {[]dingtalk.Alert{alert("payments", "ticket", false)}, first, dingtalk.Audience{Lang: "zh", Team: "payments"}},
		"nor does the end of a page":        {[]dingtalk.Alert{alert("payments", "page", true)}, first, dingtalk.Audience{Lang: "zh", Team: "payments"}},
		"nor a page that ended, ticket not": {[]dingtalk.Alert{alert("payments", "page", true), alert("payments", "ticket", false)}, first, dingtalk.Audience{Lang: "zh", Team: "payments"}},
		"unless it is wanted":               {[]dingtalk.Alert{alert("li4", "ticket", false)}, first, dingtalk.Audience{Lang: "en", Team: "li4", People: []dingtalk.Person{li4}}},
		"without a calendar all members":    {[]dingtalk.Alert{alert("feed", "page", false)}, first, dingtalk.Audience{Lang: "en", Team: "feed", People: []dingtalk.Person{li4, zhang3}}},
		"never":                             {[]dingtalk.Alert{alert("search", "page", false)}, first, dingtalk.Audience{Lang: "en", Team: "search"}},
		"two teams": {
			[]dingtalk.Alert{alert("payments", "page", false), alert("feed", "page", false)},
			first,
			dingtalk.Audience{Team: "feed, payments", People: []dingtalk.Person{li4, zhang3}},
		},
		"an unknown team": {[]dingtalk.Alert{alert("gone", "page", false)}, first, dingtalk.Audience{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, d.Audience(dingtalk.Group{Alerts: c.alerts}, c.at)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
