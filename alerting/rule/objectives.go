package rule

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// Objective is what a function promises. Zero means that it does not.
type Objective struct {
	Function string
	Success  float64                  // share of calls that do not end in 5xx, in (0, 1)
	Within   map[string]time.Duration // by "p50", "p90", "p99": what that share of calls ends within
}

// allowed is the share of calls that may take longer than a percentile's bound.
var allowed = map[string]string{"p50": "0.5", "p90": "0.1", "p99": "0.01"}

// ObjectivesName is the name of the rules that Objectives makes.
const ObjectivesName = "kongdao-objectives"

// longPrefix is of metrics that are kept for [longRetention]: windows of burn rates
// reach back further than other rules do.
const longPrefix = "kongdao:objective"

// Objectives makes a rule file from objectives: the error budget of each function,
// how much of it is left, and alerts when it burns too fast, by several windows as
// Google's SRE workbook has them. It is empty when nothing is promised. Functions
// with the same objective share rules, and the text depends on nothing else.
func Objectives(all []Objective) string {
	v := objectiveValues{Windows: burnWindows}
	budgets, slow := map[string]map[string][]string{}, map[string]map[string][]string{}
	add := func(to map[string]map[string][]string, kind, value, function string) {
		if to[kind] == nil {
			to[kind] = map[string][]string{}
		}
		to[kind][value] = append(to[kind][value], function)
	}
	for _, o := range all {
		if o.Success > 0 && o.Success < 1 {
			add(budgets, "success", number(1-o.Success), o.Function)
		}
		for kind, bound := range o.Within {
			if allowed[kind] != "" && bound > 0 {
				add(budgets, kind, allowed[kind], o.Function)
				add(slow, kind, number(bound.Seconds()), o.Function)
			}
		}
	}
	if len(budgets) == 0 {
		return ""
	}
	for _, kind := range slices.Sorted(maps.Keys(budgets)) {
		v.Budgets = append(v.Budgets, objectiveRule{kind, alternatives(budgets[kind], "%s + 0 * kongdao:objective_calls:rate1m{%s}")})
	}
	for _, kind := range slices.Sorted(maps.Keys(slow)) {
		v.Slow = append(v.Slow, objectiveRule{kind, alternatives(slow[kind], slowExpr)})
	}
	var b strings.Builder
	if err := objectiveRules.Execute(&b, v); err != nil { // cannot be: the values fit
		return ""
	}
	return b.String()
}

// slowExpr: a share without calls is NaN, which is not above 0.
const slowExpr = `(1 - histogram_fraction(0, %[1]s, sum by (function) (rate(kongdao_collector_call_duration_seconds{%[2]s}[1m]))) > 0)
          * kongdao:objective_calls:rate1m{%[2]s}
        or 0 * kongdao:objective_calls:rate1m{%[2]s}`

// alternatives joins an expression for each value, of the functions that have it.
func alternatives(byValue map[string][]string, expr string) string {
	var parts []string
	for _, value := range slices.Sorted(maps.Keys(byValue)) {
		functions := slices.Compact(slices.Sorted(slices.Values(byValue[value])))
		matcher := fmt.Sprintf("function=~%q", strings.Join(functions, "|"))
		parts = append(parts, fmt.Sprintf(expr, value, matcher))
	}
	return strings.Join(parts, "\n        or ")
}

// number has no more digits than somebody wrote: 1-0.999 is not quite 0.001.
func number(v float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 9, 64), 64)
	if err != nil {
		rounded = v
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

type objectiveValues struct {
	Budgets, Slow []objectiveRule
	Windows       []burnWindow
}

type objectiveRule struct{ Kind, Expr string }

// burnWindow is one of the workbook's: at Factor times the pace that uses up the
// budget in 30 days, over a long window and still in a short one.
type burnWindow struct {
	Long, Short string
	Factor      string
	Severity    string
}

var burnWindows = []burnWindow{
	{"1h", "5m", "14.4", "page"},
	{"6h", "30m", "6", "page"},
	{"1d", "2h", "3", "ticket"},
	{"3d", "6h", "1", "ticket"},
}

var objectiveRules = template.Must(template.New("objectives").Delims("[[", "]]").Parse(objectiveText))

// Each sum of bad calls is taken of what would have been called in the whole window
// at the mean rate that was seen, so that a short history is no long window: minutes
// that are missing count as good.
const objectiveText = `# Made by KongDao from spec.objective of functions; kongdao alert rules show prints it.
# It runs unchanged on a Prometheus that reads native histograms and keeps 30 days.
#
# Calls that a limit refused and calls of load tests are in none of it.
groups:
- name: kongdao-objectives
  interval: 1m
  rules:
  - record: kongdao:objective_calls:rate1m
    expr: |
      clamp_min(
        sum by (function) (rate(kongdao_collector_calls_total{function!=""}[1m]))
        - (
          sum by (function) (rate(kongdao_collector_refused_calls_total{function!=""}[1m]))
          or 0 * sum by (function) (rate(kongdao_collector_calls_total{function!=""}[1m]))
        ), 0)
[[- range .Budgets]]
  - record: kongdao:objective_budget:ratio
    labels: {objective: [[.Kind]]}
    expr: |
        [[.Expr]]
[[- end]]
  - record: kongdao:objective_bad:rate1m
    labels: {objective: success}
    expr: |
      sum by (function) (rate(kongdao_collector_calls_total{function!="",code=~"5.."}[1m]))
      or 0 * kongdao:objective_calls:rate1m
[[- range .Slow]]
  - record: kongdao:objective_bad:rate1m
    labels: {objective: [[.Kind]]}
    expr: |
        [[.Expr]]
[[- end]]
  - record: kongdao:objective_bad:ratio5m
    expr: sum_over_time(kongdao:objective_bad:rate1m[5m]) / on (function) group_left () (5 * avg_over_time(kongdao:objective_calls:rate1m[5m]) > 0)
  - record: kongdao:objective_bad:ratio30m
    expr: sum_over_time(kongdao:objective_bad:rate1m[30m]) / on (function) group_left () (30 * avg_over_time(kongdao:objective_calls:rate1m[30m]) > 0)
  - record: kongdao:objective_bad:ratio1h
    expr: sum_over_time(kongdao:objective_bad:rate1m[1h]) / on (function) group_left () (60 * avg_over_time(kongdao:objective_calls:rate1m[1h]) > 0)
  - record: kongdao:objective_bad:ratio6h
    expr: sum_over_time(kongdao:objective_bad:avg5m[6h]) / on (function) group_left () (72 * avg_over_time(kongdao:objective_calls:avg5m[6h]) > 0)
[[- range .Windows]][[if eq .Severity "page"]][[template "alert" .]][[end]][[end]]

# Five minutes in one sample, of which a month is kept.
- name: kongdao-objectives-history
  interval: 5m
  rules:
  - record: kongdao:objective_calls:avg5m
    expr: avg_over_time(kongdao:objective_calls:rate1m[5m])
  - record: kongdao:objective_bad:avg5m
    expr: sum_over_time(kongdao:objective_bad:rate1m[5m]) / 5
  - record: kongdao:objective_bad:ratio2h
    expr: sum_over_time(kongdao:objective_bad:avg5m[2h]) / on (function) group_left () (24 * avg_over_time(kongdao:objective_calls:avg5m[2h]) > 0)
  - record: kongdao:objective_bad:ratio1d
    expr: sum_over_time(kongdao:objective_bad:avg5m[1d]) / on (function) group_left () (288 * avg_over_time(kongdao:objective_calls:avg5m[1d]) > 0)
  - record: kongdao:objective_bad:ratio3d
    expr: sum_over_time(kongdao:objective_bad:avg5m[3d]) / on (function) group_left () (864 * avg_over_time(kongdao:objective_calls:avg5m[3d]) > 0)
  - record: kongdao:objective_budget:left30d
    expr: |
      1 - sum_over_time(kongdao:objective_bad:avg5m[30d]) / on (function) group_left () (8640 * avg_over_time(kongdao:objective_calls:avg5m[30d]) > 0)
        / last_over_time(kongdao:objective_budget:ratio[2m])
[[- range .Windows]][[if eq .Severity "ticket"]][[template "alert" .]][[end]][[end]]
[[define "alert"]]
  - alert: ObjectiveBurn
    # [[.Factor]] times the pace that uses up the budget in 30 days. Five bad calls at
    # least: where few calls are made, one is no trend.
    expr: |
      last_over_time(kongdao:objective_bad:ratio[[.Long]][ [[- .Fresh -]] ]) / last_over_time(kongdao:objective_budget:ratio[2m]) > [[.Factor]]
      and last_over_time(kongdao:objective_bad:ratio[[.Short]][ [[- .Fresh -]] ]) / last_over_time(kongdao:objective_budget:ratio[2m]) > [[.Factor]]
      and [[.Count]] >= 5
    labels: {severity: [[.Severity]], window: [[.Long]]}
    annotations:
      summary: "{{ $labels.function }} misses its objective ({{ $labels.objective }})"
      summary_zh: "{{ $labels.function }} 正在快速消耗错误预算 ({{ $labels.objective }})"
      description: "over [[.Long]] it has used its error budget {{ $value | printf \"%.1f\" }} times as fast as would last 30 days"
      description_zh: "最近 [[.Long]] 错误预算消耗速度为 30 天额度的 {{ $value | printf \"%.1f\" }} 倍"
      runbook: docs/runbooks/objective-burn.md
[[- end]]
`

// Fresh is how old the recorded ratios may be: two turns of the group.
func (w burnWindow) Fresh() string {
	if w.Severity == "page" {
		return "2m"
	}
	return "10m"
}

// Count is the number of bad calls in the long window.
func (w burnWindow) Count() string {
	if w.Long == "1h" {
		return "60 * sum_over_time(kongdao:objective_bad:rate1m[1h])"
	}
	return "300 * sum_over_time(kongdao:objective_bad:avg5m[" + w.Long + "])"
}
