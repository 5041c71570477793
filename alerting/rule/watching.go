package rule

import (
	"maps"
	"regexp"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// byFunction are the metrics that have a value for every function, and what shipped
// rules record of them.
var byFunction = regexp.MustCompile(`^(kongdao_collector_((pod_)?calls_total|refused_calls_total|(pod_)?call_duration_seconds(_bucket|_count|_sum)?)|kongdao:(function|revision)_[a-z0-9_]+:rate\d+m)$`)

// Watching are the names of alerts in these rule texts that look at a function's
// calls: those of all functions, or of this one by the label function. Texts that
// are wrong watch nothing.
func Watching(rules map[string]string, function string) []string {
	t := newTexts()
	found := map[string]bool{}
	for _, text := range rules {
		groups, err := t.read(text)
		if err != nil {
			continue
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if expr, err := t.Parse(r.Expr); r.Alert != "" && err == nil && watches(expr, function) {
					found[r.Alert] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func watches(expr parser.Expr, function string) (yes bool) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok && selects(v, function) {
			yes = true
		}
		return nil
	})
	return yes
}

func selects(v *parser.VectorSelector, function string) bool {
	ours, named := byFunction.MatchString(v.Name), false
	for _, m := range v.LabelMatchers {
		switch m.Name {
		case model.MetricNameLabel:
			ours = ours || m.Type == labels.MatchEqual && byFunction.MatchString(m.Value)
		case "function":
			if !m.Matches(function) {
				return false
			}
			named = true
		}
	}
	return ours || named
}
