package rule_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting/rule"
)

const slowPaths = `
logGroups:
- name: slow-paths
  interval: 100ms
  rules:
  - alert: SlowPath
    window: 10m
    expr: |
      SELECT function, path, quantile(0.9)(duration_us) / 1e6 AS value FROM calls -- of ';' and FORMAT
      WHERE ts >= {from} AND ts < {to} GROUP BY function, path HAVING value > 1;
    for: %s
    labels: {severity: ticket}
    annotations: {summary: "{{ $labels.path }} takes {{ $value | humanizeDuration }}"}
  - record: function:slow_paths:count
    expr: SELECT function, count() AS value FROM calls WHERE ts >= {from} AND ts < {to}
`

// house is a ClickHouse that answers as it is told to.
type house struct {
	broken, slow atomic.Bool
	asked        atomic.Int64
	last         atomic.Value
}

func (h *house) ask(_ context.Context, sql string) ([]rule.LogRow, error) {
	h.asked.Add(1)
	if h.broken.Load() {
		return nil, errors.New("clickhouse is away")
	}
	if strings.Contains(sql, "count()") {
		return []rule.LogRow{{Labels: map[string]string{"function": "feed"}, Value: 7}}, nil
	}
	h.last.Store(sql)
	if !h.slow.Load() {
		return nil, nil
	}
	return []rule.LogRow{{Labels: map[string]string{"function": "feed", "path": "/a"}, Value: 2}}, nil
}

func logConfig(t *testing.T, dir string, h *house, wait string) rule.Config {
	cfg := config(dir)
	cfg.LeastLogInterval, cfg.Logs = tick, h.ask
	cfg.Rules = map[string]string{"slow": fmt.Sprintf(slowPaths, wait)}
	return cfg
}

func TestLogRules(t *testing.T) {
	h := &house{}
	e := start(t, logConfig(t, t.TempDir(), h, "0s"))
	e.query(t, `function:slow_paths:count{function="feed"}`, "7")
	h.slow.Store(true)
	a := e.next(t, "SlowPath")
	if a.Annotations["summary"] != "/a takes 2s" || a.Labels["function"] != "feed" || a.Labels["severity"] != "ticket" || strings.Contains(a.GeneratorURL, "SELECT") {
		t.Errorf("%+v", a)
	}
	bounds := regexp.MustCompile(`ts >= fromUnixTimestamp64Milli\((\d+), 'UTC'\) AND ts < fromUnixTimestamp64Milli\((\d+), 'UTC'\)`).FindStringSubmatch(h.last.Load().(string))
	if bounds == nil {
		t.Fatalf("asked: %s", h.last.Load())
	}
	from, _ := strconv.ParseInt(bounds[1], 10, 64)
	to, _ := strconv.ParseInt(bounds[2], 10, 64)
	if to-from != (10*time.Minute).Milliseconds() || time.Since(time.UnixMilli(to)) > patience {
		t.Errorf("bounds %d to %d", from, to)
	}

	// A database that is away is no recovery, and no silence: it counts as failing.
	h.broken.Store(true)
	eventually(t, func() bool { return e.Failing() == 2 }, func() string { return fmt.Sprintf("%d rules fail", e.Failing()) })
	for range 5 {
		if a := e.next(t, "SlowPath"); a.Resolved() {
			t.Error("resolved while nobody could say")
		}
	}
	h.slow.Store(false)
	h.broken.Store(false)
	for a = e.next(t, "SlowPath"); !a.Resolved(); {
		a = e.next(t, "SlowPath")
	}
	eventually(t, func() bool { return e.Failing() == 0 }, func() string { return fmt.Sprintf("%d rules fail", e.Failing()) })
}

func TestLogRulesWithoutClickHouseFail(t *testing.T) {
	cfg := logConfig(t, t.TempDir(), &house{}, "0s")
	cfg.Logs = nil
	e := start(t, cfg)
	eventually(t, func() bool { return e.Failing() == 2 }, func() string { return fmt.Sprintf("%d rules fail", e.Failing()) })
}

func TestPendingLogRuleSurvivesRestart(t *testing.T) {
	h, dir := &house{}, t.TempDir()
	h.slow.Store(true)
	cfg := logConfig(t, dir, h, "1h")
	e := start(t, cfg)
	e.query(t, `time() - ALERTS_FOR_STATE > bool 3`, "1")
	stopped := time.Now()
	e.stop()
	e = start(t, cfg)
	eventually(t, func() bool {
		var answer struct {
			Data struct {
				Alerts []struct{ ActiveAt time.Time }
			}
		}
		e.get(t, "/api/v1/alerts", &answer)
		return len(answer.Data.Alerts) == 1 && answer.Data.Alerts[0].ActiveAt.Before(stopped)
	}, func() string { return "what was pending is not" })
}

func TestWrongLogRulesAreNamed(t *testing.T) {
	group := func(fields string) string {
		return "logGroups:\n- name: g\n  rules:\n  - {alert: A, " + fields + "}\n"
	}
	const sql = `expr: "SELECT 1 AS value FROM calls WHERE ts >= {from} AND ts < {to}"`
	if err := rule.Check(group(sql)); err != nil {
		t.Errorf("a good one: %v", err)
	}
	for fields, want := range map[string]string{
		`expr: "SELECT 1 AS value FROM calls"`:                                           "without bounds in time",
		`expr: "SELECT '{from} {to}' AS value FROM calls"`:                               "without bounds in time",
		`expr: "DROP TABLE calls -- {from} {to}"`:                                        "want one SELECT",
		`expr: "SELECT 1 WHERE ts > {from} AND ts < {to} SETTINGS max_rows_to_read = 0"`: `"SETTINGS"`,
		`expr: "SELECT 1 WHERE ts > {from} AND ts < {to}; DROP TABLE calls"`:             `"; D"`,
		`expr: ""`:                         "is missing",
		sql + `, window: 48h`:              "window: is 2d",
		sql + `, fro: 1m`:                  "fro",
		sql + `, annotations: {a: "{{ x"}`: "annotation",
		`record: "a b{}", ` + sql:          "only one of",
		sql + `, for: soon`:                "soon",
		sql + `, labels: {__name__: "a"}`:  "invalid label",
	} {
		err := rule.Check(group(fields))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", fields, err, want)
		}
	}
	if err := rule.Check("logGroups: [{name: g, interval: 5s, rules: []}]"); err == nil || !strings.Contains(err.Error(), "at least 10s") {
		t.Errorf("an interval of 5 s: %v", err)
	}
}

// Whatever somebody writes is refused or can be evaluated; nothing panics.
func FuzzTexts(f *testing.F) {
	for _, text := range rule.Pack() {
		f.Add(text)
	}
	f.Add(fmt.Sprintf(slowPaths, "1m"))
	f.Add("groups: [{name: x, rules: [{alert: A, expr: 'up', annotations: {a: '{{ range query \"up\" }}{{ . }}{{ end }}'}}]}]")
	f.Fuzz(func(_ *testing.T, text string) { _ = rule.Check(text) })
}
