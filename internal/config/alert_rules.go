package config

import (
	"fmt"
	"path/filepath"
	"slices"
)

func (k *check) alertRules(c Config) {
	for i, pattern := range c.Alerting.RuleFiles {
		if _, err := filepath.Match(pattern, "x"); err != nil || pattern == "" {
			k.add(fmt.Sprintf("alerting.ruleFiles[%d]", i), "is %q, want a path or a pattern such as /etc/kongdao/rules/*.yaml", pattern)
		}
	}
	if r := c.Alerting.LogReader; r != "" && !slices.ContainsFunc(c.Readers, func(o Reader) bool { return o.Name == r }) {
		k.add("alerting.logReader", "is %q, want the name of one of readers", r)
	}
}
