package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/google/go-cmp/cmp"
	amclient "github.com/prometheus/alertmanager/api/v2/client"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/client/general"
	"github.com/prometheus/alertmanager/api/v2/client/silence"
	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

const quick = `
route:
  receiver: dingtalk
  group_by: [alertname, zone]
  group_wait: 50ms
  group_interval: 200ms
  repeat_interval: 1h
receivers: [{name: dingtalk}]
inhibit_rules:
- {source_matchers: [alertname="ZoneDown"], target_matchers: [alertname="PodsDown"], equal: [zone]}
`

type told struct {
	robot string
	group dingtalk.Group
}

// running is an engine whose deliveries a test reads.
type running struct {
	*engine.Engine
	told chan told // size 100: more than any test makes
	stop func()

	mu   sync.Mutex
	fail int // deliveries to refuse
}

func start(t *testing.T, cfg engine.Config) *running {
	t.Helper()
	r := &running{told: make(chan told, 100)}
	deliver := func(robot string, g dingtalk.Group) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.fail > 0 {
			r.fail--
			return errors.New("disk full")
		}
		r.told <- told{robot, g}
		return nil
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	e, err := engine.New(cfg, deliver, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	r.Engine = e
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

func config(dir string) engine.Config {
	c := engine.DefaultConfig(dir)
	c.Alertmanager, c.Robots = quick, []string{"oncall"}
	return c
}

func (r *running) put(t *testing.T, name, zone string, ends time.Duration) {
	t.Helper()
	now := time.Now()
	err := r.Put(t.Context(), model.Alert{
		Labels:   model.LabelSet{"alertname": model.LabelValue(name), "zone": model.LabelValue(zone)},
		StartsAt: now.Add(-time.Minute), EndsAt: now.Add(ends),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *running) next(t *testing.T) told {
	t.Helper()
	select {
	case g := <-r.told:
		return g
	case <-time.After(patience):
		t.Fatal("nothing was told")
		return told{}
	}
}

// quiet fails when anything is told before a probe alert is: groups are told in
// the order of their waits, so what was to come has come by then.
func (r *running) quiet(t *testing.T, probe string) {
	t.Helper()
	r.put(t, probe, "", time.Hour)
	if g := r.next(t); g.group.Name() != probe {
		t.Errorf("told %s, wanted nothing before %s", g.group.Name(), probe)
	}
}

// api is Alertmanager's own client.
func (r *running) api() *amclient.AlertmanagerAPI {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return amclient.New(httptransport.NewWithClient(r.Addr(), "/api/v2", []string{"http"}, c), strfmt.Default)
}

func TestGroupsAndInhibits(t *testing.T) {
	r := start(t, config(t.TempDir()))
	r.put(t, "ZoneDown", "zb-b", time.Hour)
	if g := r.next(t); g.robot != "oncall" || g.group.Name() != "ZoneDown" || !g.group.Firing() || g.group.Labels["zone"] != "zb-b" {
		t.Errorf("told %+v", g)
	}
	r.put(t, "PodsDown", "zb-b", time.Hour) // inhibited
	r.put(t, "PodsDown", "zb-a", time.Hour)
	if g := r.next(t); g.group.Labels["zone"] != "zb-a" {
		t.Errorf("told %+v, want the zone that is not down", g)
	}
	r.put(t, "PodsDown", "zb-b", 0)
	r.put(t, "ZoneDown", "zb-b", 0)
	if g := r.next(t); g.group.Firing() || g.group.Name() != "ZoneDown" {
		t.Errorf("told %+v, want the end of ZoneDown", g)
	}
}

// The shipped configuration tells a lost zone once, not each function in it.
func TestShippedConfiguration(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Alertmanager = engine.DefaultAlertmanager()
	r := start(t, cfg)
	put := func(labels model.LabelSet) {
		t.Helper()
		now := time.Now()
		if err := r.Put(t.Context(), model.Alert{Labels: labels, StartsAt: now, EndsAt: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	put(model.LabelSet{"alertname": "ZoneDown", "zone": "zb-b", "severity": "page"})
	for _, f := range []model.LabelValue{"feed", "cart"} {
		put(model.LabelSet{"alertname": "PodsDown", "zone": "zb-b", "function": f, "severity": "ticket"})
		put(model.LabelSet{"alertname": "PodsDown", "zone": "zb-a", "function": f, "severity": "ticket"})
		put(model.LabelSet{"alertname": "ErrorRate", "function": f, "severity": "ticket"})
		put(model.LabelSet{"alertname": "ErrorRate", "function": f, "severity": "page"})
	}
	got := map[string]int{}
	for range 4 {
		g := r.next(t).group
		got[g.Name()+"/"+g.Labels["zone"]+g.Labels["function"]+"/"+g.Severity()] += len(g.Alerts)
	}
	want := map[string]int{"ZoneDown/zb-b/page": 1, "PodsDown/zb-a/ticket": 2, "ErrorRate/feed/page": 1, "ErrorRate/cart/page": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts told by group (-want +got):\n%s", diff)
	}
	r.quiet(t, "Probe")
}

func TestDeliveryThatFailsIsTriedAgain(t *testing.T) {
	r := start(t, config(t.TempDir()))
	r.mu.Lock()
	r.fail = 2
	r.mu.Unlock()
	r.put(t, "A", "z", time.Hour)
	r.next(t)
	r.quiet(t, "B")
}

func TestSilenceByAPI(t *testing.T) {
	dir := t.TempDir()
	r := start(t, config(dir))
	name, value, by, comment, yes, no := "zone", "zb-b", "ann", "known", true, false
	begin, end := strfmt.DateTime(time.Now()), strfmt.DateTime(time.Now().Add(time.Hour))
	params := silence.NewPostSilencesParams().WithSilence(&models.PostableSilence{Silence: models.Silence{
		Matchers: models.Matchers{{Name: &name, Value: &value, IsEqual: &yes, IsRegex: &no}},
		StartsAt: &begin, EndsAt: &end, CreatedBy: &by, Comment: &comment,
	}})
	made, err := r.api().Silence.PostSilences(params)
	if err != nil {
		t.Fatal(err)
	}
	r.put(t, "A", "zb-b", time.Hour)
	r.quiet(t, "B")

	alerts, err := r.api().Alert.GetAlerts(alert.NewGetAlertsParams())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts.Payload {
		if want := map[string]string{"A": "suppressed", "B": "active"}[a.Labels["alertname"]]; *a.Status.State != want {
			t.Errorf("%s is %s, want %s", a.Labels["alertname"], *a.Status.State, want)
		}
	}
	r.stop()

	r = start(t, config(dir)) // the silence is still there
	r.put(t, "A2", "zb-b", time.Hour)
	r.quiet(t, "C")
	if _, err := r.api().Silence.DeleteSilence(silence.NewDeleteSilenceParams().WithSilenceID(strfmt.UUID(made.Payload.SilenceID))); err != nil {
		t.Fatal(err)
	}
	r.next(t)
}

func TestHealthAndStatus(t *testing.T) {
	r := start(t, config(t.TempDir()))
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		resp, err := c.Get("http://" + r.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	status, err := r.api().General.GetStatus(general.NewGetStatusParams())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(*status.Payload.Config.Original, "group_interval: 200ms") {
		t.Errorf("status shows another configuration: %s", *status.Payload.Config.Original)
	}
}

// After a restart what fires on is not told again, and what ended meanwhile is
// told as ended.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	r := start(t, config(dir))
	r.put(t, "Lasting", "z", time.Hour)
	r.next(t)
	r.put(t, "Ending", "z", time.Hour)
	r.next(t)
	r.stop()
	lapse(t, filepath.Join(dir, "alerts.json"), "Ending")

	cfg := config(dir)
	cfg.Renewal = 300 * time.Millisecond
	r = start(t, cfg)
	r.put(t, "Lasting", "z", time.Hour) // and nobody says anything about Ending
	if g := r.next(t); g.group.Name() != "Ending" || g.group.Firing() {
		t.Errorf("told %+v, want the end of Ending", g)
	}
	r.quiet(t, "Probe")
}

// lapse makes the time of an alert on disk run out, as if the process had been
// away for longer.
func lapse(t *testing.T, file, name string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for i, l := range lines {
		if strings.Contains(l, name) {
			lines[i] = regexp.MustCompile(`"endsAt":"[^"]*"`).ReplaceAllString(l, `"endsAt":"2001-01-01T00:00:00Z"`)
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReconfigure(t *testing.T) {
	hook := make(chan struct{}, 10)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hook <- struct{}{} }))
	defer s.Close()
	r := start(t, config(t.TempDir()))
	bad := []struct{ name, text, want string }{
		{"a robot that is not there", strings.ReplaceAll(quick, "dingtalk", "nobody"), `receiver "nobody"`},
		{"unknown key", quick + "nonsense: 1\n", "nonsense"},
	}
	for _, c := range bad {
		if err := r.Reconfigure(c.text, []string{"oncall"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	r.put(t, "A", "z", time.Hour)
	r.next(t) // the old configuration runs on

	hooked := strings.Replace(quick, "{name: dingtalk}", "{name: second}, {name: dingtalk, webhook_configs: [{url: '"+s.URL+"'}]}", 1)
	if err := r.Reconfigure(hooked, []string{"second", "third"}); err != nil {
		t.Fatal(err)
	}
	r.put(t, "B", "z", time.Hour)
	for g := r.next(t); g.group.Name() != "B"; g = r.next(t) {
		t.Errorf("told %s again", g.group.Name())
	}
	select {
	case <-hook:
	case <-time.After(patience):
		t.Error("the webhook was not called")
	}
}

func TestConfigProblemsAllAtOnce(t *testing.T) {
	err := engine.Config{Alertmanager: "route: {}"}.Validate()
	for _, field := range []string{"dir", "listen", "retention", "maintenanceInterval", "renewal", "alertmanager"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	if err := engine.DefaultConfig("x").Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
}
