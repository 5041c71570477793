package rule

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// benchRules are ten rules over every function, of the kind that is shipped.
func benchRules() string {
	var b strings.Builder
	b.WriteString("groups:\n- name: bench\n  interval: 5s\n  rules:\n")
	for i := range 10 {
		fmt.Fprintf(&b, `  - alert: Errors%d
    expr: |
      sum by (function) (rate(kongdao_collector_calls_total{code=~"5.."}[30s]))
      / sum by (function) (rate(kongdao_collector_calls_total[30s])) > 0.0%d
      and sum by (function) (rate(kongdao_collector_calls_total[30s])) > 0.2
    for: 15s
    labels: {severity: page}
    annotations: {summary: "{{ $labels.function }} fails", description: "{{ $value | humanizePercentage }}"}
`, i, 10+i)
	}
	return b.String()
}

// fill stores five minutes of calls of 10,000 functions, a hundredth of which fail.
func fill(b *testing.B, db *database, from time.Time) {
	b.Helper()
	var series []labels.Labels
	for f := range 10_000 {
		for _, code := range []string{"200", "500"} {
			series = append(series, labels.FromStrings("__name__", "kongdao_collector_calls_total", "function", fmt.Sprintf("f%05d", f), "code", code))
		}
	}
	refs := make([]storage.SeriesRef, len(series))
	for step := range 60 {
		app := db.AppenderV2(b.Context())
		for i, ls := range series {
			v := float64(step * 100)
			if i%2 == 1 && i/2%100 != 0 {
				v = 0 // fails never
			}
			ref, err := app.Append(refs[i], ls, 0, from.Add(time.Duration(step)*5*time.Second).UnixMilli(), v, nil, nil, storage.AppendV2Options{})
			if err != nil {
				b.Fatal(err)
			}
			refs[i] = ref
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTenThousandFunctions evaluates ten rules over 10,000 functions as KongDao
// does and as Prometheus' rule manager alone does, on the same database, in turn.
// x-prometheus is the ratio of the medians, s/interval what an interval of 5 s takes.
func BenchmarkTenThousandFunctions(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	cfg := DefaultConfig(b.TempDir())
	db, err := openDatabase(cfg, log, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	fill(b, db, begin)
	e := &Evaluator{cfg: cfg, log: log, texts: newTexts()}
	e.logs = newLogs(nil, e.texts)
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: log, Parser: e.texts.parser, MaxSamples: 1_000_000, Timeout: 30 * time.Second, LookbackDelta: 30 * time.Second,
	})
	defer engine.Close()
	e.logs.next = rules.EngineQueryFunc(engine, db)
	parsed, err := e.texts.with(map[string]string{"bench": benchRules()})
	if err != nil {
		b.Fatal(err)
	}
	e.texts.set(parsed)
	group := func(q rules.QueryFunc, to storage.AppendableV2, from storage.Queryable) *rules.Group {
		m := rules.NewManager(&rules.ManagerOptions{
			QueryFunc: q, AppendableV2: to, Queryable: from, Context: b.Context(), Logger: log,
			NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, GroupLoader: e.texts, Parser: e.texts.parser,
		})
		groups, errs := m.LoadGroups(5*time.Second, labels.EmptyLabels(), "", nil, false, "bench")
		if errs != nil {
			b.Fatal(errs)
		}
		return groups["bench;bench"]
	}
	ours := group(e.logs.query, db, db)
	theirs := group(rules.EngineQueryFunc(engine, db.DB), db.DB, db.DB)

	var took [2][]time.Duration // CPU time
	var wall []time.Duration
	at := begin.Add(2 * time.Minute)
	for i := 0; b.Loop(); i++ {
		for _, k := range []int{i % 2, 1 - i%2} { // neither is always the first
			at = at.Add(50 * time.Millisecond)
			cpu, start := cpuTime(b), time.Now()
			[]*rules.Group{ours, theirs}[k].Eval(b.Context(), at)
			took[k] = append(took[k], cpuTime(b)-cpu)
			if k == 0 {
				wall = append(wall, time.Since(start))
			}
		}
	}
	for _, r := range ours.AlertingRules() {
		if err := r.LastError(); err != nil || len(r.ActiveAlerts()) != 100 {
			b.Fatalf("%s: %d alerts, %v", r.Name(), len(r.ActiveAlerts()), err)
		}
	}
	b.ReportMetric(median(took[0]).Seconds()/median(took[1]).Seconds(), "x-prometheus")
	b.ReportMetric(median(wall).Seconds(), "s/interval")
	b.ReportMetric(median(took[0]).Seconds(), "cpu-s/interval")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
