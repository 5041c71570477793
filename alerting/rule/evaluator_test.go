package rule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/rule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 30 * time.Second
	tick     = 100 * time.Millisecond
)

// target is a /metrics endpoint of the kind the collector has.
type target struct {
	ready    prometheus.Gauge
	calls    *prometheus.CounterVec
	duration prometheus.Histogram
	addr     string
}

func serve(t *testing.T) *target {
	t.Helper()
	reg := prometheus.NewRegistry()
	g := &target{
		ready: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ready", Help: "x"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls_total", Help: "x"}, []string{"code"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "duration_seconds", Help: "x", NativeHistogramBucketFactor: 1.1,
		}),
	}
	reg.MustRegister(g.ready, g.calls, g.duration)
	s := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	g.addr = strings.TrimPrefix(s.URL, "http://")
	return g
}

type evaluator struct {
	*rule.Evaluator
	alerts chan model.Alert // size 100: more than a test looks at; later ones are dropped
	stop   func()
}

func start(t *testing.T, cfg rule.Config) *evaluator {
	t.Helper()
	e := &evaluator{alerts: make(chan model.Alert, 100)}
	notify := func(_ context.Context, alerts ...model.Alert) error {
		for _, a := range alerts {
			select {
			case e.alerts <- a:
			default:
			}
		}
		return nil
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	ev, err := rule.New(cfg, notify, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	e.Evaluator = ev
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ev.Run(ctx) }()
	stopped := false
	e.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(e.stop)
	return e
}

func config(dir string, targets ...string) rule.Config {
	c := rule.DefaultConfig(dir)
	c.Targets, c.ScrapeInterval, c.EvaluationInterval, c.ResendDelay = targets, tick, tick, 2*tick
	c.Rules = nil
	return c
}

func (e *evaluator) next(t *testing.T, name string) model.Alert {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case a := <-e.alerts:
			if a.Name() == name {
				return a
			}
		case <-deadline:
			t.Fatalf("no alert %s", name)
		}
	}
}

// query asks until the answer is want.
func (e *evaluator) query(t *testing.T, expr, want string) {
	t.Helper()
	got := ""
	eventually(t, func() bool {
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		e.get(t, "/api/v1/query?query="+url.QueryEscape(expr), &answer)
		got = "nothing"
		if len(answer.Data.Result) == 1 {
			got = fmt.Sprint(answer.Data.Result[0].Value[1])
		}
		return got == want
	}, func() string { return fmt.Sprintf("%s is %s, want %s", expr, got, want) })
}

func (e *evaluator) get(t *testing.T, path string, into any) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + e.Addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func eventually(t *testing.T, ok func() bool, say func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal(say())
		}
		<-time.After(tick / 2)
	}
}

const notReady = `
groups:
- name: ready
  rules:
  - {alert: NotReady, expr: ready == 0, for: %s, annotations: {summary: "{{ $value }} ready"}}
`

func TestAlertFiresAndEnds(t *testing.T) {
	m := serve(t)
	cfg := config(t.TempDir(), m.addr)
	cfg.Rules = map[string]string{"ready": fmt.Sprintf(notReady, "0s")}
	e := start(t, cfg)

	a := e.next(t, "NotReady")
	if a.Resolved() || a.Annotations["summary"] != "0 ready" {
		t.Errorf("first report %v, want a firing one", a)
	}
	m.ready.Set(1)
	for !a.Resolved() {
		a = e.next(t, "NotReady")
	}
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health string }
			}
		}
	}
	e.get(t, "/api/v1/rules", &answer)
	if g := answer.Data.Groups; len(g) != 1 || g[0].Rules[0].Name != "NotReady" || g[0].Rules[0].Health != "ok" {
		t.Errorf("rules served: %+v", g)
	}
}

func TestMetricsThatAreRead(t *testing.T) {
	m := serve(t)
	e := start(t, config(t.TempDir(), m.addr))
	for range 100 {
		m.duration.Observe(0.1)
	}
	e.query(t, "up", "1")
	e.query(t, "histogram_count(duration_seconds)", "100") // only a native histogram has it
	m.calls.WithLabelValues("429").Add(3)
	e.query(t, "calls_total", "3")
	// A counter that was not there before has increased from 0.
	e.query(t, "count_over_time(calls_total[1m]) > bool 1 and min_over_time(calls_total[1m]) == 0", "1")
}

func TestWrongRulesAreNamedAndTheOthersApply(t *testing.T) {
	m := serve(t)
	cfg := config(t.TempDir(), m.addr)
	cfg.Rules = map[string]string{"a": fmt.Sprintf(notReady, "0s")}
	e := start(t, cfg)
	e.next(t, "NotReady")

	err := e.SetRules(map[string]string{
		"a": "groups: [{name: x, rules: [{alert: Bad, expr: 'ready =='}]}]",
		"b": "- name: bare\n  rules:\n  - {alert: Bare, expr: ready == 0}\n",
		"c": "groups: [{name: x, rulez: []}]",
	})
	if err == nil || !strings.Contains(err.Error(), "rules a: ") || !strings.Contains(err.Error(), "rules c: ") || strings.Contains(err.Error(), "rules b") {
		t.Errorf("error %v, want a and c named", err)
	}
	e.next(t, "Bare") // the good one applies
	for len(e.alerts) > 0 {
		<-e.alerts // said before
	}
	e.next(t, "Bare")
	if a := e.next(t, "NotReady"); a.Resolved() { // the old text of a runs on
		t.Error("the rule whose new text is wrong has ended")
	}

	if err := e.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	var answer struct{ Data struct{ Groups []any } }
	e.get(t, "/api/v1/rules", &answer)
	if len(answer.Data.Groups) != 0 {
		t.Errorf("rules after all were removed: %v", answer.Data.Groups)
	}
}

// What was pending before a restart counts on after it; only the pause does not.
func TestPendingTimeSurvivesRestart(t *testing.T) {
	m, dir := serve(t), t.TempDir()
	cfg := config(dir, m.addr)
	cfg.Rules = map[string]string{"ready": fmt.Sprintf(notReady, "1h")}
	e := start(t, cfg)
	// Much longer than the pause will be.
	e.query(t, `time() - ALERTS_FOR_STATE > bool 3`, "1")
	stopped := time.Now()
	e.stop()

	e = start(t, cfg)
	var since time.Time
	restored := func() bool {
		var answer struct {
			Data struct {
				Alerts []struct{ ActiveAt time.Time }
			}
		}
		e.get(t, "/api/v1/alerts", &answer)
		if len(answer.Data.Alerts) == 1 {
			since = answer.Data.Alerts[0].ActiveAt
		}
		return !since.IsZero() && since.Before(stopped)
	}
	eventually(t, restored, func() string { return fmt.Sprintf("pending since %s, stopped %s", since, stopped) })
}

func TestTwoEvaluatorsInOneProcess(t *testing.T) {
	m := serve(t)
	a, b := start(t, config(t.TempDir(), m.addr)), start(t, config(t.TempDir(), m.addr))
	a.query(t, "up", "1")
	b.query(t, "up", "1")
}

func TestPathsThatAreNotServed(t *testing.T) {
	e := start(t, config(t.TempDir()))
	for _, path := range []string{"/api/v1/write", "/api/v1/admin/tsdb/snapshot", "/api/v1/status/tsdb", "/metrics", "/api/v1/notifications/live"} {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Get("http://" + e.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, resp.Status)
		}
	}
}

func TestConfigProblemsAllAtOnce(t *testing.T) {
	c := rule.Config{Targets: []string{"nowhere"}, Rules: maps.Clone(map[string]string{"bad": "groups: 1"})}
	err := c.Validate()
	for _, field := range []string{"dir", "listen", "scrapeInterval", "evaluationInterval", "resendDelay", "retention", "targets[0]", "rules bad"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	if err := rule.DefaultConfig("x").Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
}

// What objectives record is kept longer, elsewhere; queries do not see where.
func TestWhatObjectivesRecordIsKeptApart(t *testing.T) {
	m, dir := serve(t), t.TempDir()
	cfg := config(dir, m.addr)
	cfg.Rules = map[string]string{"x": "groups: [{name: x, rules: [{record: 'kongdao:objective_x:y', labels: {function: feed}, expr: 'ready + 1'}, {record: 'kongdao:z', expr: 'kongdao:objective_x:y + 1'}]}]"}
	e := start(t, cfg)
	e.query(t, "kongdao:z", "2")
	e.query(t, `count({__name__=~"ready|kongdao:.*"})`, "3")
	var names struct{ Data []string }
	e.get(t, "/api/v1/label/__name__/values", &names)
	for _, name := range []string{"ready", "kongdao:objective_x:y", "kongdao:z"} {
		if n := strings.Count(strings.Join(names.Data, " ")+" ", name+" "); n != 1 {
			t.Errorf("%s is there %d times", name, n)
		}
	}
	e.stop()
	long, err := filepath.Glob(filepath.Join(dir, "long", "wal", "0*"))
	if err != nil || len(long) == 0 {
		t.Fatalf("%v, %v", long, err)
	}
	cfg.Rules = nil
	e = start(t, cfg)
	e.query(t, "last_over_time(kongdao:objective_x:y[1h])", "1") // also after a restart
}
