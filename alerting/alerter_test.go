package alerting_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
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
	a, err := alerting.New(cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), prometheus.NewRegistry())
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
