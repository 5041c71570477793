package people_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/people"
	"github.com/kongdao/kongdao/api"
)

func answerers() *people.Directory {
	set := api.Set{
		Teams: []*api.Team{{Metadata: api.Metadata{Name: "feed"}, Spec: api.TeamSpec{Members: []string{"ann", "ben"}, OnCall: "feed"}}, {Metadata: api.Metadata{Name: "core"}, Spec: api.TeamSpec{Members: []string{"eve"}}}},
		OnCalls: []*api.OnCall{{Metadata: api.Metadata{Name: "feed"}, Spec: api.OnCallSpec{
			Rotation: []string{"ann", "ben", "dan"}, Start: "2026-01-05", TimeZone: "UTC", Handover: "10:00", ShiftDays: 7,
		}}},
	}
	for _, n := range []string{"ann", "ben", "dan", "eve"} {
		set.People = append(set.People, &api.Person{Metadata: api.Metadata{Name: n}, Spec: api.PersonSpec{UserID: "u-" + n, Name: "The " + n}})
	}
	return people.New(set)
}

func ofTeams(teams ...string) dingtalk.Group {
	g := dingtalk.Group{}
	for _, t := range teams {
		g.Alerts = append(g.Alerts, dingtalk.Alert{Labels: map[string]string{people.LabelTeam: t}})
	}
	return g
}

func TestWhoMayAnswer(t *testing.T) {
	d := answerers()
	for _, c := range []struct {
		user  string
		teams []string
		may   bool
	}{
		{"u-ann", []string{"feed"}, true},
		{"u-dan", []string{"feed"}, true}, // on call, though no member
		{"u-eve", []string{"feed"}, false},
		{"u-eve", []string{"feed", "core"}, true},
		{"u-eve", []string{"eve"}, true}, // a person who owns alone
		{"u-ann", []string{"eve"}, false},
		{"u-nobody", []string{"feed"}, false},
		{"", []string{"feed"}, false},
		{"u-nobody", nil, true},
		{"u-nobody", []string{"no such team"}, true},
	} {
		if _, may := d.May(c.user, ofTeams(c.teams...)); may != c.may {
			t.Errorf("%s to %v: %v", c.user, c.teams, may)
		}
	}
	if n := d.Name("u-ann"); n != "The ann" {
		t.Errorf("name %q", n)
	}
	if n := d.Answerers(ofTeams("core")); !slices.Equal(n, []string{"The eve"}) {
		t.Errorf("answerers %v", n)
	}
	var nobody *people.Directory
	if _, may := nobody.May("x", ofTeams("feed")); !may || nobody.Name("x") != "x" || len(nobody.Answerers(ofTeams("feed"))) > 0 {
		t.Error("without people everybody may")
	}
}

// Each step upwards calls somebody else, until all were called.
func TestStepsCallTheNextOnes(t *testing.T) {
	d, at := answerers(), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	first := d.CalledAfter("feed", at, 0)
	if !slices.Equal(first, d.Called("feed", at)) {
		t.Errorf("without steps %v", first)
	}
	seen := slices.Clone(first)
	for step := 1; step <= 2; step++ {
		next := d.CalledAfter("feed", at, step)
		if len(next) != 1 || slices.Contains(seen, next[0]) {
			t.Errorf("step %d calls %v after %v", step, next, seen)
		}
		seen = append(seen, next...)
	}
	if again := d.CalledAfter("feed", at, 3); !slices.Equal(again, first) {
		t.Errorf("after everybody %v, want %v", again, first)
	}
	if all := d.CalledAfter("core", at, 1); !slices.Equal(all, []string{"eve"}) {
		t.Errorf("without a calendar %v", all)
	}
}
