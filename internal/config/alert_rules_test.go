package config

import (
	"strings"
	"testing"
)

func TestAlertRuleSettings(t *testing.T) {
	c := Default()
	c.Alerting.RuleFiles, c.Alerting.LogReader = []string{"rules/*.yaml", "[", ""}, "rules"
	err := c.Validate()
	for _, want := range []string{"alerting.ruleFiles[1]", "alerting.ruleFiles[2]", "alerting.logReader"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
	c.Alerting.RuleFiles = c.Alerting.RuleFiles[:1]
	c.Readers = []Reader{{Name: "rules", Tenants: []string{"*"}, Token: "${env:RULES_TOKEN}"}}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
