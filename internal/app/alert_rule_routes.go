package app

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/alerting/rule"
)

func (s *System) alertRuleRoutes(h huma.API) {
	huma.Get(h, "/api/v1/alerts/rules", s.listRuleTexts)
}

// Where rule texts come from.
const (
	RulesShipped    = "shipped"
	RulesObjectives = "objectives"
	RulesResource   = "resource"
	RulesFile       = "file"
)

// RuleText is a text of rules as it was written or made.
type RuleText struct {
	Name   string `json:"name" doc:"of a resource, a path, or what the program calls it"`
	Origin string `json:"origin" enum:"shipped,objectives,resource,file"`
	Text   string `json:"text" doc:"a rule file in Prometheus' format, or logGroups"`
	Error  string `json:"error,omitempty" doc:"what is wrong with it; the one before it runs on"`
}

// RuleTexts is the answer to GET /alerts/rules.
type RuleTexts struct {
	Texts []RuleText `json:"texts"`
}

func (s *System) listRuleTexts(context.Context, *struct{}) (*body[RuleTexts], error) {
	origins := map[string]string{}
	all := rule.Pack()
	if s.logQuery() == nil {
		delete(all, rule.LogPack)
	}
	for name := range all {
		origins[name] = RulesShipped
	}
	own := s.rules.texts()
	for name, text := range own {
		switch {
		case name == rule.ObjectivesName && strings.HasPrefix(text, "# Made by KongDao"):
			origins[name] = RulesObjectives
		case s.rules.isFile(name):
			origins[name] = RulesFile
		default:
			origins[name] = RulesResource
		}
	}
	maps.Copy(all, own)
	out := RuleTexts{Texts: []RuleText{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t := RuleText{Name: name, Origin: origins[name], Text: all[name]}
		if err := rule.Check(t.Text); err != nil {
			t.Error = err.Error()
		}
		out.Texts = append(out.Texts, t)
	}
	return reply(out), nil
}

func (b *ruleBook) isFile(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, file := b.files[name]
	_, resource := b.resources[name]
	return file && !resource
}
