package app

import (
	"time"

	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
)

// ruleTexts are the rules that resources ask for, by name: those of AlertRules, and
// what follows from functions' objectives. An AlertRule of that name replaces the
// latter.
func ruleTexts(set api.Set) map[string]string {
	texts := map[string]string{}
	if text := rule.Objectives(objectivesOf(set)); text != "" {
		texts[rule.ObjectivesName] = text
	}
	for _, r := range set.AlertRules {
		texts[r.Name] = r.Spec.Groups
	}
	return texts
}

func objectivesOf(set api.Set) []rule.Objective {
	all := make([]rule.Objective, 0, len(set.Functions))
	for _, f := range set.Functions {
		l := f.Spec.Objective.Latency
		all = append(all, rule.Objective{
			Function: f.Name, Success: f.Spec.Objective.Success.Ratio(),
			Within: map[string]time.Duration{"p50": l.P50.Std(), "p90": l.P90.Std(), "p99": l.P99.Std()},
		})
	}
	return all
}
