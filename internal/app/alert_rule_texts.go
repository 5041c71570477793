package app

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
		maps.Copy(texts, textsOf(r))
	}
	return texts
}

// logsSuffix tells the log rules of an AlertRule that has others, too.
const logsSuffix = " (logs)"

func textsOf(r *api.AlertRule) map[string]string {
	texts := map[string]string{}
	if r.Spec.Groups != "" {
		texts[r.Name] = r.Spec.Groups
	}
	switch {
	case r.Spec.LogGroups == "":
	case r.Spec.Groups == "":
		texts[r.Name] = r.Spec.LogGroups
	default:
		texts[r.Name+logsSuffix] = r.Spec.LogGroups
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

// CheckRules says what is wrong in the texts of AlertRules, which running systems
// would refuse and go on with what they had.
func CheckRules(set api.Set) (problems api.Problems) {
	for _, r := range set.AlertRules {
		for _, t := range []struct {
			field, text string
			line        int
		}{{"spec.groups", r.Spec.Groups, r.Spec.Line}, {"spec.logGroups", r.Spec.LogGroups, r.Spec.LogLine}} {
			if t.text == "" {
				continue
			}
			err := rule.Check(t.text)
			if err == nil {
				continue
			}
			for line := range strings.Lines(err.Error()) {
				at, message := placed(strings.TrimSpace(line))
				problems = append(problems, api.Problem{Source: api.Source{File: r.Source.File, Line: t.line + at}, Field: t.field, Message: message})
			}
		}
	}
	return slices.Clip(problems)
}

// lineAndColumn is what Prometheus' parser puts before a problem.
var lineAndColumn = regexp.MustCompile(`^(\d+):\d+: `)

// placed takes the line within a text, from 0, off a message.
func placed(message string) (line int, rest string) {
	m := lineAndColumn.FindStringSubmatch(message)
	if m == nil {
		return 0, message
	}
	n, _ := strconv.Atoi(m[1]) // digits
	return max(n-1, 0), message[len(m[0]):]
}
