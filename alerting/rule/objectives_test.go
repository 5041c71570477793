package rule

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var promises = []Objective{
	{Function: "feed", Success: 0.999, Within: map[string]time.Duration{"p99": 300 * time.Millisecond, "p50": 20 * time.Millisecond}},
	{Function: "cart", Success: 0.999},
	{Function: "tour", Success: 0.99, Within: map[string]time.Duration{"p99": time.Second}},
	{Function: "free"},
}

// Whatever is promised is evaluated with a sample every half a minute.
var burnCases = []packCase{
	{
		name: "all calls fail: the first window pages within minutes of the first sample, however short the history",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+3000x20 60000x20
			kongdao_collector_calls_total{function="feed",code="503"} 0x20 0+3000x20
			kongdao_collector_calls_total{function="free",code="503"} 0+3000x60`,
		at:   13 * time.Minute,
		want: []string{`ObjectiveBurn{function="feed", objective="success", severity="page", window="1h"}: over 1h it has used its error budget 43.3 times as fast as would last 30 days`},
	},
	{
		name: "one call of ten at night",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0x10 1x10 2x10 3x10 4x10 5x10 6x10
			kongdao_collector_calls_total{function="feed",code="503"} 0x25 1x60`,
		at: 30 * time.Minute,
	},
	{
		name: "a thousandth fails, as it may",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+9990x240
			kongdao_collector_calls_total{function="feed",code="503"} 0+10x240`,
		at: 2 * time.Hour,
	},
	{
		name: "two per cent fail: a page; for whoever promised 99 % it is none",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+980x240
			kongdao_collector_calls_total{function="feed",code="503"} 0+20x240
			kongdao_collector_calls_total{function="tour",code="200"} 0+980x240
			kongdao_collector_calls_total{function="tour",code="503"} 0+20x240`,
		at:   58 * time.Minute,
		want: []string{`ObjectiveBurn{function="feed", objective="success", severity="page", window="1h"}: over 1h it has used its error budget 19.3 times as fast as would last 30 days`},
	},
	{
		name: "five good minutes end a page of an hour's window; that of six hours wants thirty",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+900x60 54000+1000x60
			kongdao_collector_calls_total{function="feed",code="503"} 0+100x60 6000x60`,
		at:   40 * time.Minute,
		want: []string{`ObjectiveBurn{function="feed", objective="success", severity="page", window="6h"}: over 6h it has used its error budget 8.3 times as fast as would last 30 days`},
	},
	{
		name: "refused calls count neither way",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+90x240
			kongdao_collector_calls_total{function="feed",code="503"} 0+10x240
			kongdao_collector_calls_total{function="feed",code="429"} 0+9900x240
			kongdao_collector_refused_calls_total{function="feed",limit="capacity"} 0+9900x240`,
		at: 30 * time.Minute,
		want: []string{
			`ObjectiveBurn{function="feed", objective="success", severity="page", window="1h"}: over 1h it has used its error budget 50.0 times as fast as would last 30 days`,
			`ObjectiveBurn{function="feed", objective="success", severity="page", window="6h"}: over 6h it has used its error budget 6.9 times as fast as would last 30 days`,
		},
	},
	{
		name: "every second call slower than p99 allows, failing none",
		series: `
			kongdao_collector_calls_total{function="tour",code="200"} 0+1000x240
			kongdao_collector_call_duration_seconds{function="tour"} {{schema:0 sum:0 count:0 buckets:[0]}}+{{schema:0 sum:2 count:1000 offset:0 buckets:[500 0 500]}}x240`,
		at: 58 * time.Minute,
		want: []string{
			`ObjectiveBurn{function="tour", objective="p99", severity="page", window="1h"}: over 1h it has used its error budget 48.3 times as fast as would last 30 days`,
			`ObjectiveBurn{function="tour", objective="p99", severity="page", window="6h"}: over 6h it has used its error budget 7.6 times as fast as would last 30 days`,
		},
	},
}

func TestObjectiveBurns(t *testing.T) {
	texts := map[string]string{"objectives": Objectives(promises)}
	for _, c := range burnCases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, firing(t, run(t, texts, c.series, 30*time.Second, c.at))); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// 0.4 % for 20 hours: too slow for a page, 4 times too fast for the budget.
func TestBudgetBurnsSlowly(t *testing.T) {
	texts := map[string]string{
		"objectives": Objectives(promises),
		"own":        `groups: [{name: own, interval: 5m, rules: [{alert: Left, expr: "kongdao:objective_budget:left30d < 1", annotations: {description: '{{ $value | printf "%.2f" }}'}}]}]`,
	}
	groups := run(t, texts, `
		kongdao_collector_calls_total{function="feed",code="200"} 0+996x2400
		kongdao_collector_calls_total{function="feed",code="503"} 0+4x2400`, 30*time.Second, 20*time.Hour)
	want := []string{
		`Left{function="feed", objective="success"}: 0.89`, // 20 of 720 hours at four times the pace
		`ObjectiveBurn{function="feed", objective="success", severity="ticket", window="1d"}: over 1d it has used its error budget 3.3 times as fast as would last 30 days`,
		`ObjectiveBurn{function="feed", objective="success", severity="ticket", window="3d"}: over 3d it has used its error budget 1.1 times as fast as would last 30 days`,
	}
	if diff := cmp.Diff(want, firing(t, groups)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

func TestObjectivesOfManyFunctionsAreFewRules(t *testing.T) {
	var all []Objective
	for range 10_000 {
		all = append(all, Objective{Function: "f", Success: 0.999, Within: map[string]time.Duration{"p99": time.Second}})
	}
	rulesOf := func(text string) int { return strings.Count(text, "\n  - ") }
	one, many := rulesOf(Objectives(all[:1])), rulesOf(Objectives(all))
	if one != many || Objectives(nil) != "" || Objectives(promises[3:]) != "" {
		t.Errorf("%d rules of one function, %d of many", one, many)
	}
}
