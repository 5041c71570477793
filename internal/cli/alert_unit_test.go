package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/kongdao/kongdao/internal/app"
)

func TestMatchersAreAmtools(t *testing.T) {
	for _, c := range []struct {
		args       []string
		function   string
		filter     string // as the API gets it; empty: refused
		everything bool
	}{
		{args: []string{"ZoneDown", "zone=zb-a"}, filter: `alertname="ZoneDown" zone="zb-a"`},
		{args: []string{"zone=~zb-.*", "severity!=page"}, filter: `zone=~"zb-.*" severity!="page"`},
		{args: nil, function: "feed", filter: `function="feed"`},
		{args: []string{`{zone="a",function!~"x|y"}`}, filter: `zone="a" function!~"x|y"`},
		{args: []string{"alertname=~.+"}, filter: `alertname=~".+"`, everything: true},
		{args: []string{"alertname!=Watchdog"}, filter: `alertname!="Watchdog"`, everything: true},
		{args: []string{"team=~.*", "zone!=zb-a"}, filter: `team=~".*" zone!="zb-a"`, everything: true},
		{args: []string{"team=~.+"}, filter: `team=~".+"`},
		{args: []string{"zone=~("}},
		{args: []string{"zone=a", "nothing"}},
	} {
		s := selection{function: c.function}
		err := s.parse(c.args)
		if c.filter == "" {
			var coded *exitError
			if !errors.As(err, &coded) || coded.code != exitInvalid || !strings.Contains(err.Error(), c.args[len(c.args)-1]) {
				t.Errorf("%v: error %v", c.args, err)
			}
			continue
		}
		if got := strings.Join(s.filter()["filter"], " "); err != nil || got != c.filter || s.everything() != c.everything {
			t.Errorf("%v: %s, everything %v, %v", c.args, got, s.everything(), err)
		}
	}
}

func TestEndOfASilence(t *testing.T) {
	shanghai := time.FixedZone("", 8*3600)
	now := time.Date(2026, 11, 24, 17, 30, 0, 0, shanghai)
	for _, c := range []struct{ length, until, want string }{ // want empty: refused
		{length: "2d", want: "2026-11-26T17:30:00+08:00"},
		{length: "1h30m", want: "2026-11-24T19:00:00+08:00"},
		{length: "0s"},
		{length: "soon"},
		{until: "18:00", want: "2026-11-24T18:00:00+08:00"},
		{until: "17:30", want: "2026-11-25T17:30:00+08:00"},
		{until: "2026-12-01 09:00", want: "2026-12-01T09:00:00+08:00"},
		{until: "2026-12-01T09:00:00Z", want: "2026-12-01T09:00:00Z"},
		{until: "2026-11-24 17:00"},
		{until: "tomorrow"},
		{length: "1h", until: "18:00"},
	} {
		s := silencing{length: c.length, until: c.until}
		got, err := s.end(now, c.length != "")
		if text := got.Format(time.RFC3339); (err != nil) != (c.want == "") || err == nil && text != c.want {
			t.Errorf("%+v: %s, %v", c, text, err)
		}
	}
}

// TestPastOfAnAlert: samples come at even intervals, one may be missing, and two gaps
// end what was there.
func TestPastOfAnAlert(t *testing.T) {
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	at := func(seconds ...int) (all []time.Time) {
		for _, s := range seconds {
			all = append(all, begin.Add(time.Duration(s)*time.Second))
		}
		return all
	}
	when := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	got := spells("firing", at(0, 5, 15, 20, 100, 105, 110), when(112))
	want := []spell{{"firing", when(0), when(20)}, {State: "firing", From: when(100)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := spells("pending", at(7), when(60)); len(got) != 1 || got[0].Until.IsZero() {
		t.Errorf("one sample long ago: %v", got)
	}
	if spells("firing", nil, when(0)) != nil {
		t.Error("no sample is no spell")
	}
	text := past{Spells: []spell{
		{"pending", when(0), when(5)}, {"firing", when(10), when(20)}, {"pending", when(300), when(305)}, {State: "firing", From: when(310)},
	}}.text()
	if lines := strings.Split(text, "\n"); len(lines) != 2 || strings.Count(lines[0], " to ") != 1 || strings.Contains(lines[1], " to ") {
		t.Errorf("text:\n%s", text)
	}
}

func gettable(id, name, zone, state string, silencedBy ...string) *models.GettableAlert {
	now := strfmt.DateTime(time.Now())
	return &models.GettableAlert{
		Fingerprint: &id, StartsAt: &now, Status: &models.AlertStatus{State: &state, SilencedBy: silencedBy},
		Alert: models.Alert{Labels: models.LabelSet{"alertname": name, "zone": zone}},
	}
}

func TestChangesOfAlerts(t *testing.T) {
	known := map[string]*models.GettableAlert{}
	say := func(alerts ...*models.GettableAlert) string {
		var all []string
		for _, c := range changes(known, alerts) {
			all = append(all, *c.Alert.Fingerprint+" "+c.Change)
		}
		return strings.Join(all, ", ")
	}
	a, b := gettable("a", "A", "z", "active"), gettable("b", "B", "z", "active")
	for _, step := range []struct{ got, want string }{
		{say(a, b), "a active, b active"},
		{say(a, b), ""},
		{say(gettable("a", "A", "z", "suppressed", "s1"), b), "a silenced"},
		{say(a), "b ended, a active"},
		{say(), "a ended"},
	} {
		if step.got != step.want {
			t.Errorf("%q, want %q", step.got, step.want)
		}
	}
}

// TestWhatShowPicks: a name goes before a mark that reads like one.
func TestWhatShowPicks(t *testing.T) {
	alerts := models.GettableAlerts{gettable("00000000000000aa", "ZoneDown", "a", "active"), gettable("00000000000000bb", "DEAD", "b", "active")}
	groups := app.AlertGroups{Groups: []app.AlertGroup{
		{Mark: "#A3F2", Fingerprints: []string{"00000000000000aa"}}, {Mark: "#DEAD", Fingerprints: []string{"00000000000000aa"}},
	}}
	rules := []alertRule{{Name: "ZoneDown"}, {Name: "Quiet"}}
	for what, want := range map[string]string{
		"ZoneDown": "00000000000000aa", "#A3F2": "00000000000000aa", "a3f2-17": "00000000000000aa",
		"00000000000000bb": "00000000000000bb", "DEAD": "00000000000000bb", "Quiet": "", "B00C": "",
	} {
		got := ""
		for _, a := range pickShown(what, alerts, groups, rules) {
			got += *a.Fingerprint
		}
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	for what, want := range map[string]string{"0123456789abcdef": "fingerprint", "#B00C": "--groups", "Zone": "Quiet, ZoneDown"} {
		if err := notShown(what, rules); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSilenceByTheBeginningOfItsID(t *testing.T) {
	var all models.GettableSilences
	for id, state := range map[string]string{"aab1": "active", "aac2": "pending", "bbb3": "expired"} {
		end := strfmt.DateTime(time.Now())
		all = append(all, &models.GettableSilence{ID: &id, Status: &models.SilenceStatus{State: &state}, Silence: models.Silence{EndsAt: &end}})
	}
	for id, want := range map[string]string{"aab": "", "aac2": "", "aa": "2 silences begin so", "bbb": "is over since", "c": "no such silence"} {
		s, err := silenceOf(all, id)
		if want == "" && (err != nil || !strings.HasPrefix(*s.ID, id)) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
