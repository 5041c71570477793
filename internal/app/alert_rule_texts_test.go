package app

import (
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
)

func TestObjectivesBecomeRules(t *testing.T) {
	feed := &api.Function{Metadata: api.Metadata{Name: "feed"}}
	if texts := ruleTexts(api.Set{Functions: []*api.Function{feed}}); len(texts) != 0 {
		t.Errorf("without an objective: %v", texts)
	}
	feed.Spec.Objective = api.Objective{Success: 99.9, Latency: api.LatencyObjective{P99: api.Duration(300 * time.Millisecond)}}
	set := api.Set{Functions: []*api.Function{feed}}
	text := ruleTexts(set)[rule.ObjectivesName]
	for _, want := range []string{`0.001 + 0 * kongdao:objective_calls:rate1m{function=~"feed"}`, `0.01 + 0 * `, `histogram_fraction(0, 0.3, `} {
		if !strings.Contains(text, want) {
			t.Errorf("the rules lack %s:\n%s", want, text)
		}
	}
	set.AlertRules = []*api.AlertRule{{Metadata: api.Metadata{Name: rule.ObjectivesName}, Spec: api.AlertRuleSpec{Groups: "groups: []"}}}
	if text := ruleTexts(set)[rule.ObjectivesName]; text != "groups: []" {
		t.Errorf("an AlertRule of the same name does not replace them: %s", text)
	}
}

func TestRulesAreCheckedWithTheirLines(t *testing.T) {
	r := &api.AlertRule{Metadata: api.Metadata{Name: "own", Source: api.Source{File: "own.yaml", Line: 1}}}
	r.Spec.Groups, r.Spec.Line = "groups:\n- name: a\n  rules:\n  - {alert: A, expr: 'up =='}\n", 5
	r.Spec.LogGroups, r.Spec.LogLine = "logGroups:\n- name: a\n  rules:\n  - {alert: B, expr: 'SELECT 1'}\n", 10
	got := CheckRules(api.Set{AlertRules: []*api.AlertRule{r}})
	if len(got) != 2 || got[0].Source.String() != "own.yaml:8" || got[0].Field != "spec.groups" || got[1].Source.String() != "own.yaml:10" || !strings.Contains(got[1].Message, "{from}") {
		t.Errorf("%v", got)
	}
	if texts := ruleTexts(api.Set{AlertRules: []*api.AlertRule{r}}); len(texts) != 2 || texts["own (logs)"] == "" {
		t.Errorf("texts: %v", texts)
	}
}
