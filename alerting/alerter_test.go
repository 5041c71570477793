package alerting_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// gauges is a /metrics endpoint whose values a test sets.
type gauges struct {
	broken atomic.Int64
	*httptest.Server
}

func serveGauges(t *testing.T) *gauges {
	t.Helper()
	g := &gauges{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "broken{function=\"feed\",zone=\"zb-a\"} %d\n", g.broken.Load())
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gauges) addr() string { return strings.TrimPrefix(g.URL, "http://") }

const brokenRule = `
- name: test
  interval: 100ms
  rules:
  - alert: Broken
    expr: broken > 0
    labels: {severity: page}
    annotations:
      summary: "{{ $labels.function }} is broken"
      summary_zh: "{{ $labels.function }} 坏了"
      description: "{{ $value }} broken"
      runbook: docs/runbooks/broken.md
`

const quick = `
route: {receiver: dingtalk, group_by: [alertname, function], group_wait: 100ms, group_interval: 300ms, repeat_interval: 1h}
receivers: [{name: dingtalk}]
`

const secret = "SECdeadbeef"

type running struct {
	*alerting.Alerter
	stop func()
}

func start(t *testing.T, cfg alerting.Config) *running {
	t.Helper()
	return startWith(t, cfg, prometheus.NewRegistry())
}

func startWith(t *testing.T, cfg alerting.Config, reg prometheus.Registerer) *running {
	t.Helper()
	a, err := alerting.New(cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return &running{a, stop}
}

func config(dir string, target string, robot *dingtalktest.Server) alerting.Config {
	cfg := alerting.DefaultConfig(dir)
	cfg.ScrapeInterval, cfg.EvaluationInterval = api.Duration(100*time.Millisecond), api.Duration(100*time.Millisecond)
	cfg.Targets, cfg.Alertmanager, cfg.TimeZone = []string{target}, quick, "UTC"
	cfg.Rules = map[string]string{"test": brokenRule}
	cfg.Robots = []alerting.Robot{{Name: "oncall", URL: api.Secret(robot.URL("token")), Secret: secret}}
	return cfg
}

func wait(t *testing.T, robot *dingtalktest.Server, n int) []dingtalktest.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := robot.WaitN(ctx, n)
	if err != nil {
		t.Fatalf("%v; refused: %v", err, robot.Refusals())
	}
	return got
}

func TestFaultBecomesOneMessageAndItsEndAnother(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	a := start(t, config(t.TempDir(), target.addr(), robot))

	target.broken.Store(3)
	fired := wait(t, robot, 1)[0]
	target.broken.Store(0)
	all := wait(t, robot, 2)
	ended := all[1]
	a.stop()

	if n := len(robot.Messages()); n != 2 {
		t.Errorf("%d messages, want one firing and one resolved", n)
	}
	if r := robot.Refusals(); len(r) > 0 {
		t.Errorf("refused: %v", r)
	}
	id := dingtalk.Group{Key: `{}:{alertname="Broken", function="feed"}`}.ID()
	for _, want := range []string{"告警", "Broken", "feed", "feed 坏了", "3 broken", id, "docs/runbooks/broken.md"} {
		if !strings.Contains(fired.Title+fired.Text, want) {
			t.Errorf("firing message lacks %q:\n%s", want, fired.Text)
		}
	}
	for _, want := range []string{"已恢复", "Broken", id} {
		if !strings.Contains(ended.Title, want) {
			t.Errorf("resolved title lacks %q: %s", want, ended.Title)
		}
	}
}

func TestSilencedFaultIsNotTold(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	a := start(t, config(t.TempDir(), target.addr(), robot))
	post(t, "http://"+a.Addr()+"/api/v2/silences", fmt.Sprintf(
		`{"matchers":[{"name":"alertname","value":"Broken","isRegex":false,"isEqual":true}],"startsAt":%q,"endsAt":%q,"createdBy":"ann","comment":"known"}`,
		time.Now().Format(time.RFC3339Nano), time.Now().Add(time.Hour).Format(time.RFC3339Nano)))
	target.broken.Store(1)
	testkit.Eventually(t, "the alert to be suppressed", func() bool {
		return strings.Contains(get(t, "http://"+a.Addr()+"/api/v2/alerts?silenced=true&active=false"), `"Broken"`)
	})
	// Another alert that comes later passes; the silenced one was due before.
	if err := a.SetRules(map[string]string{"test": brokenRule + strings.NewReplacer("Broken", "Other", "- name: test", "- name: other").Replace(brokenRule)}); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, robot, 1); !strings.Contains(got[0].Title, "Other") {
		t.Errorf("told %s", got[0].Title)
	}
	if s := get(t, "http://"+a.AddrPrometheus()+"/api/v1/alerts"); !strings.Contains(s, `"Broken"`) {
		t.Errorf("alerts by rules: %s", s)
	}
}

func TestRobotsAreReplacedWhileItRuns(t *testing.T) {
	target := serveGauges(t)
	first, second := dingtalktest.Start(t, dingtalktest.Config{Secret: secret}), dingtalktest.Start(t, dingtalktest.Config{})
	a := start(t, config(t.TempDir(), target.addr(), first))
	if err := a.Test(t.Context(), "oncall"); err != nil || len(first.Messages()) != 1 {
		t.Fatalf("test message: %v, %d arrived", err, len(first.Messages()))
	}
	if err := a.SetRobots([]alerting.Robot{{Name: "bad", URL: "nowhere"}}); err == nil {
		t.Error("a robot without address was taken")
	}
	if err := a.SetRobots([]alerting.Robot{{Name: "new", URL: api.Secret(second.URL("token"))}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Test(t.Context(), "oncall"); dingtalk.KindOf(err) != dingtalk.Permanent {
		t.Errorf("test message to a robot that is gone: %v", err)
	}
	target.broken.Store(1)
	wait(t, second, 1)
	if n := len(first.Messages()); n != 1 {
		t.Errorf("%d messages to the robot that was replaced", n)
	}
}

func TestRefusedMessageGoesToFallback(t *testing.T) {
	target := serveGauges(t)
	robot, other := dingtalktest.Start(t, dingtalktest.Config{Secret: "changed"}), dingtalktest.Start(t, dingtalktest.Config{})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Alertmanager = strings.ReplaceAll(quick, "dingtalk", "oncall")
	cfg.Robots = append(cfg.Robots, alerting.Robot{Name: "other", URL: api.Secret(other.URL("token"))})
	cfg.Fallback = "other"
	start(t, cfg)
	target.broken.Store(1)
	wait(t, other, 1)
	if r := robot.Refusals(); len(r) != 1 || r[0].Code != 310000 {
		t.Errorf("refusals %v, want one for the signature", r)
	}
}

func TestRestartTellsNothingTwice(t *testing.T) {
	target, robot, dir := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret}), t.TempDir()
	a := start(t, config(dir, target.addr(), robot))
	target.broken.Store(1)
	wait(t, robot, 1)
	a.stop()
	a = start(t, config(dir, target.addr(), robot))
	testkit.Eventually(t, "the alert to fire again", func() bool {
		return strings.Contains(get(t, "http://"+a.AddrPrometheus()+"/api/v1/alerts"), `"firing"`)
	})
	target.broken.Store(0)
	if got := wait(t, robot, 2); !strings.Contains(got[1].Title, "已恢复") {
		t.Errorf("second message is %s", got[1].Title)
	}
}

func TestShippedRulesRun(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Alertmanager = ""
	cfg.Rules = rule.Pack()
	delete(cfg.Rules, rule.LogPack)     // without a ClickHouse
	for name, text := range cfg.Rules { // sooner than after half a minute
		cfg.Rules[name] = regexp.MustCompile(`(?m)^  interval: .*$`).ReplaceAllString(text, "  interval: 100ms")
	}
	a := start(t, cfg)
	testkit.Eventually(t, "the shipped rules to be evaluated", func() bool {
		s := get(t, "http://"+a.AddrPrometheus()+"/api/v1/rules")
		return strings.Contains(s, "ZoneDown") && !strings.Contains(s, `"health":"unknown"`) && !strings.Contains(s, `"health":"err"`)
	})
}

func TestFailingRulesAreCounted(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	cfg := config(t.TempDir(), target.addr(), robot)
	// Fails for what it finds, not for how it is written.
	cfg.Rules = map[string]string{"test": "- {name: x, interval: 100ms, rules: [{alert: Clash, expr: 'broken * on () group_left () vector(1) + on () (label_replace(broken, \"a\", \"1\", \"\", \"\") or label_replace(broken, \"a\", \"2\", \"\", \"\"))'}]}"}
	reg := prometheus.NewRegistry()
	a := startWith(t, cfg, reg)
	testkit.Eventually(t, "a failing rule", func() bool {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "kongdao_alerting_failing_rules" {
				return f.GetMetric()[0].GetGauge().GetValue() == 1
			}
		}
		return false
	})
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(a.Inner(), "alertmanager_alerts_received_total"); err != nil || n == 0 {
		t.Errorf("inner metrics: %d %v", n, err)
	}
}

func TestTwoAlertersInOneProcess(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	start(t, config(t.TempDir(), target.addr(), robot))
	start(t, config(t.TempDir(), target.addr(), robot))
	target.broken.Store(1)
	wait(t, robot, 2)
}

func TestConfigProblemsAllAtOnce(t *testing.T) {
	cfg := alerting.Config{Lang: "fr", TimeZone: "Mars/Base", Fallback: "x", Alertmanager: "no", Targets: []string{"y"}, Robots: []alerting.Robot{{Name: "a"}, {Name: "a"}}}
	err := cfg.Validate()
	for _, field := range []string{"dir", "lang", "timeZone", "fallback", "robots", "alertmanager", "listen", "targets[0]", "scrapeInterval"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	if err := alerting.DefaultConfig("x").Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
}

// New gives back what it took when it fails.
func TestPortInUse(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.ListenPrometheus = target.addr()
	for range 2 {
		_, err := alerting.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil || !strings.Contains(err.Error(), "listen for queries") {
			t.Errorf("error %v, want the port named", err)
		}
	}
}

var noKeepAlive = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, address string) string {
	t.Helper()
	resp, err := noKeepAlive.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func post(t *testing.T, address, body string) {
	t.Helper()
	resp, err := noKeepAlive.Post(address, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if s := read(t, resp); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, s)
	}
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Watchdog of the shipped rules fires in every test here; robots are told of none.
func TestRobotsAreNotToldThatNothingIsWrong(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Rules["own"] = strings.NewReplacer("Broken", "Fine", "broken > 0", "vector(1)", "page", "none", "name: test", "name: own").Replace(brokenRule)
	a := start(t, cfg)
	testkit.Eventually(t, "both to fire", func() bool {
		s := get(t, "http://"+a.Addr()+"/api/v2/alerts")
		return strings.Contains(s, `"Fine"`)
	})
	target.broken.Store(1)
	if got := wait(t, robot, 1)[0]; !strings.Contains(got.Title, "Broken") {
		t.Errorf("told %s", got.Title)
	}
}
