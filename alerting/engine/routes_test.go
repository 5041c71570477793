package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/api/v2/client/general"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/internal/testkit"
)

const nested = `
global: {resolve_timeout: 7m}
route:
  receiver: dingtalk
  group_by: [alertname]
  group_wait: 50ms
  group_interval: 200ms
  repeat_interval: 1h
  routes:
  - {matchers: [zone=~"zb-.*"], receiver: second, group_by: ['...'], continue: true}
  - matchers: [severity="page"]
    group_by: [alertname, zone]
    routes: [{matchers: [zone="zb-a"], receiver: "null"}]
receivers: [{name: dingtalk}, {name: second}, {name: "null"}]
inhibit_rules:
- {source_matchers: [alertname="ZoneDown"], target_matchers: [alertname="PodsDown"], equal: [zone]}
`

// TestWaysAreTaken: what Ways says of labels is what an alert with them does.
func TestWaysAreTaken(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Alertmanager, cfg.Robots = nested, []string{"oncall", "second"}
	r := start(t, cfg)
	for _, labels := range []map[string]string{
		{"alertname": "Plain"},
		{"alertname": "Paged", "severity": "page", "zone": "elsewhere"},
		{"alertname": "Both", "zone": "zb-b"},
		{"alertname": "PagedBoth", "severity": "page", "zone": "zb-b"},
		{"alertname": "Dropped", "severity": "page", "zone": "zb-a"}, // by the second route
	} {
		set := model.LabelSet{}
		for k, v := range labels {
			set[model.LabelName(k)] = model.LabelValue(v)
		}
		var want, got []string
		for _, w := range r.Ways(labels) {
			if w.Channel != "" {
				want = append(want, w.Channel+" "+w.Key)
			}
			if diff := cmp.Diff(w.GroupLabels["alertname"], labels["alertname"]); diff != "" || w.GroupWait != 50*time.Millisecond {
				t.Errorf("%v: %+v", labels, w)
			}
		}
		if err := r.Put(t.Context(), model.Alert{Labels: set, StartsAt: time.Now().Add(-time.Minute), EndsAt: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		for range want {
			told := r.next(t)
			got = append(got, told.robot+" "+told.group.Key)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-said +told):\n%s", labels, diff)
		}
	}
	groups, err := r.Groups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for _, g := range groups {
		keys[g.Key] = g.Receiver
		if g.Key != g.Route+":"+strings.TrimPrefix(g.Key, g.Route+":") || !strings.HasPrefix(g.Route, "{}") || len(g.Fingerprints) != 1 {
			t.Errorf("group %+v", g)
		}
	}
	if keys[`{}:{alertname="Plain"}`] != "dingtalk" || keys[`{}/{severity="page"}/{zone="zb-a"}:{alertname="Dropped", zone="zb-a"}`] != "null" || len(groups) != 7 {
		t.Errorf("%d groups: %v", len(groups), keys)
	}
}

func TestMutedNow(t *testing.T) {
	r := start(t, config(t.TempDir()))
	r.put(t, "ZoneDown", "zb-a", time.Hour)
	r.next(t)
	for zone, want := range map[string]int{"zb-a": 1, "zb-b": 0} {
		var silences, alerts []string
		testkit.Eventually(t, "the inhibition in "+zone, func() bool {
			silences, alerts = r.Muted(t.Context(), map[string]string{"alertname": "PodsDown", "zone": zone})
			return len(alerts) == want
		})
		if len(silences) > 0 {
			t.Errorf("silences %v", silences)
		}
	}
}

// TestStatusNamesNoDefaults, for amtool refuses what it does not know; and what is
// left is the same configuration.
func TestStatusNamesNoDefaults(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Alertmanager, cfg.Robots = nested, []string{"oncall", "second"}
	r := start(t, cfg)
	status, err := r.api().General.GetStatus(general.NewGetStatusParams())
	if err != nil {
		t.Fatal(err)
	}
	text := *status.Payload.Config.Original
	for _, key := range []string{"slack_app_url", "rocketchat_api_url", "smtp_tls_config", "labels", "templates"} {
		if strings.Contains(text, key) {
			t.Errorf("status names %s:\n%s", key, text)
		}
	}
	there, err := amconfig.Load(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	ours, err := amconfig.Load(nested)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ours.String(), there.String()); diff != "" {
		t.Errorf("(-ours +status):\n%s", diff)
	}
}

// TestWaysOfOwners: whom the receiver owner reaches is said with the team that an alert
// gets when it comes in.
func TestWaysOfOwners(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Alertmanager, cfg.Robots = strings.ReplaceAll(quick, "dingtalk", "owner"), []string{"oncall", "second"}
	cfg.Owners.Team = func(set model.LabelSet) string {
		return map[model.LabelValue]string{"A": "readers"}[set["alertname"]]
	}
	cfg.Owners.Channel = func(team string) string { return map[string]string{"readers": "second"}[team] }
	r := start(t, cfg)
	for name, want := range map[string]string{"A": "second", "B": "oncall"} {
		if w := r.Ways(map[string]string{"alertname": name}); len(w) != 1 || w[0].Channel != want {
			t.Errorf("%s: %+v", name, w)
		}
		r.put(t, name, "z", time.Hour)
		if g := r.next(t); g.robot != want {
			t.Errorf("%s reached %s", name, g.robot)
		}
	}
	groups, err := r.Groups(t.Context())
	if err != nil || len(groups) != 2 {
		t.Fatalf("%+v %v", groups, err)
	}
	for _, g := range groups {
		if want := map[string]string{"A": "second", "B": "oncall"}[g.Labels["alertname"]]; g.Channel != want {
			t.Errorf("group %+v", g)
		}
	}
}
