package rule

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"

	"github.com/prometheus/prometheus/model/rulefmt"
)

// FuzzAnnotations evaluates a rule with whatever template and label value: a template
// that fails says so in the text, and the alert fires all the same.
func FuzzAnnotations(f *testing.F) {
	for _, text := range []string{
		"{{ $labels.function }} fails", "{{ $value | humanizePercentage }}", "{{ range query \"up\" }}{{ .Value }}{{ end }}",
		"{{ template \"x\" }}", "{{ .Nothing.At.All }}", "{{ index $labels 3 }}", "{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ 1 }}", "{{ slice $labels.function 5 }}",
	} {
		f.Add(text, "feed")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(text) > 4096 {
			return
		}
		file, err := yaml.Marshal(rulefmt.RuleGroups{Groups: []rulefmt.RuleGroup{{
			Name: "g", Rules: []rulefmt.Rule{{Alert: "A", Expr: "up", Annotations: map[string]string{"summary": text}}},
		}}})
		if err != nil {
			return
		}
		texts := newTexts()
		parsed, err := texts.with(map[string]string{"a": string(file)})
		if err != nil {
			return // refused, by name
		}
		texts.set(parsed)
		m := rules.NewManager(&rules.ManagerOptions{Logger: slog.New(slog.DiscardHandler), GroupLoader: texts, Parser: texts.parser})
		groups, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, "a")
		if errs != nil {
			t.Fatalf("what was checked cannot be loaded: %v", errs)
		}
		if !model.LabelValue(value).IsValid() {
			value = "x"
		}
		ask := func(context.Context, string, time.Time) (promql.Vector, error) {
			return promql.Vector{{F: 1, Metric: labels.FromStrings("function", value)}}, nil
		}
		r := groups["a;g"].AlertingRules()[0]
		if _, err := r.Eval(t.Context(), 0, time.Unix(1, 0), ask, nil, 0); err != nil || len(r.ActiveAlerts()) != 1 {
			t.Errorf("%d alerts, %v", len(r.ActiveAlerts()), err)
		}
	})
}
