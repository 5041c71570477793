package cli

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

const noFiles = cobra.ShellCompDirectiveNoFileComp

func (e *env) completeFunctionFlag(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("function", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return e.completeFunctions(cmd, nil, begun)
	})
}

// completeAlerts completes names of alert rules.
func (e *env) completeAlerts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := e.connect()
	if err != nil || len(args) > 0 {
		return nil, noFiles
	}
	rules, err := c.alertRules(cmd.Context(), "")
	if err != nil {
		return nil, noFiles
	}
	return ruleNames(rules), noFiles
}

// completeMatchers completes alertname=, and other labels from alerts that fire.
func (e *env) completeMatchers(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	c, err := e.connect()
	if err != nil {
		return nil, noFiles
	}
	var all []string
	if rules, err := c.alertRules(cmd.Context(), ""); err == nil {
		for _, name := range ruleNames(rules) {
			if len(args) == 0 && !strings.Contains(begun, "=") {
				all = append(all, name)
			}
			all = append(all, "alertname="+name)
		}
	}
	var alerts models.GettableAlerts
	if c.alertmanager(cmd.Context(), http.MethodGet, "/alerts", url.Values{}, nil, &alerts) == nil {
		for _, a := range alerts {
			for name, value := range a.Labels {
				all = append(all, name+"="+value)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), noFiles
}

// completeRobots completes names of robots.
func (e *env) completeRobots(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := e.connect()
	if err != nil || len(args) > 0 {
		return nil, noFiles
	}
	var list app.RobotList
	if c.do(cmd.Context(), http.MethodGet, "/robots", nil, nil, &list) != nil {
		return nil, noFiles
	}
	return list.Robots, noFiles
}

// completeSilences completes IDs of silences that are not over.
func (e *env) completeSilences(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := e.connect()
	if err != nil {
		return nil, noFiles
	}
	silences, err := c.silences(cmd.Context(), &selection{}, false)
	if err != nil {
		return nil, noFiles
	}
	var all []string
	for _, s := range silences {
		if !slices.Contains(args, *s.ID) {
			all = append(all, *s.ID+"\t"+typed(s.Matchers))
		}
	}
	return all, noFiles
}
