package rule

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// aboutCalls are metrics that count calls or their time, whoever counts them.
var aboutCalls = regexp.MustCompile(`^(envoy_|kongdao_loadtest_)|call|request|refus|load_test`)

// neverCalls have such a name and count none of a function.
var neverCalls = map[string]bool{
	"kongdao_collector_otlp_requests_total":   true, // of those who send logs
	"kongdao_xds_limit_requests_per_second":   true, // what may be called
	"kongdao_collector_completeness_counted":  true,
	"kongdao_capacity_release_slowdown":       true,
	"kongdao_collector_load_test_calls_total": false, // never in a shipped rule
}

// Calls of load tests page nobody: shipped rules look only at those metrics about
// calls in which the collector counts no load test.
func TestLoadTestsPageNobody(t *testing.T) {
	texts := Pack()
	texts["objectives"] = Objectives([]Objective{{Function: "feed", Success: 0.999, Within: map[string]time.Duration{"p99": time.Second}}})
	tx := newTexts()
	looked := 0
	for name, text := range texts {
		groups, err := tx.read(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				expr, err := tx.Parse(r.Expr)
				if err != nil {
					continue // a log rule: its SQL is looked at elsewhere
				}
				parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
					v, ok := n.(*parser.VectorSelector)
					if !ok {
						return nil
					}
					metric := v.Name
					for _, m := range v.LabelMatchers {
						if m.Name == model.MetricNameLabel {
							metric = m.Value
						}
					}
					if strings.HasPrefix(metric, "kongdao:") {
						return nil // recorded by such a rule, which is looked at, too
					}
					if aboutCalls.MatchString(metric) && !neverCalls[metric] {
						looked++
						if !byFunction.MatchString(metric) {
							t.Errorf("%s: %s%s looks at %s, in which load tests may be", name, r.Alert, r.Record, metric)
						}
					}
					return nil
				})
			}
		}
	}
	if looked < 10 {
		t.Errorf("only %d looks at calls were found", looked)
	}
}
