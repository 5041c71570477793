package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/alerting/rule/unittest"
	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) alertRulesCommand() *cobra.Command {
	return group("rules", "rules of alerts: what runs, where it comes from, is it right",
		e.rulesListCommand(), e.rulesShowCommand(), e.rulesCheckCommand(), e.rulesTestCommand())
}

// ruleState is a rule as Prometheus' API has it.
type ruleState struct {
	Group     string            `json:"group"`
	Name      string            `json:"name"`
	Type      string            `json:"type"`
	State     string            `json:"state,omitempty"` // of alerts: inactive, pending, firing
	Health    string            `json:"health"`
	LastError string            `json:"lastError,omitempty"`
	Query     string            `json:"query"`
	Labels    map[string]string `json:"labels,omitempty"`
}

func (e *env) rulesListCommand() *cobra.Command {
	var failing bool
	cmd := &cobra.Command{
		Use: "list", Short: "rules of the running system, and whether they can be evaluated",
		Example: "  kongdao alert rules list\n  kongdao alert rules list --failing\n  kongdao alert rules list -o json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			all, err := c.rules(cmd.Context())
			if err != nil {
				return err
			}
			if failing {
				all = slices.DeleteFunc(all, func(r ruleState) bool { return r.Health != "err" })
			}
			return e.print(all, func(w io.Writer) { writeRules(w, all) })
		},
	}
	cmd.Flags().BoolVar(&failing, "failing", false, "those alone that cannot be evaluated")
	return cmd
}

func (c *client) rules(ctx context.Context) ([]ruleState, error) {
	var answer struct {
		Groups []struct {
			Name  string
			Rules []ruleState
		}
	}
	if err := c.prometheus(ctx, "/rules", nil, &answer); err != nil {
		return nil, err
	}
	all := []ruleState{}
	for _, g := range answer.Groups {
		for _, r := range g.Rules {
			r.Group = g.Name
			all = append(all, r)
		}
	}
	return all, nil
}

func writeRules(w io.Writer, all []ruleState) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GROUP\tRULE\tSEVERITY\tSTATE\tHEALTH\tERROR")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Group, r.Name, or(r.Labels["severity"], "-"), or(r.State, "records"), r.Health, or(r.LastError, "-"))
	}
	_ = t.Flush() // to standard output
}

func (e *env) rulesShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "texts of rules, also those made from objectives",
		Long: `Show lists the texts of rules that run, with where each comes from: shipped, made
from functions' objectives, written in a resource, or in a file. With the name of one
it prints the text, a rule file that runs unchanged on a Prometheus.`,
		Example: "  kongdao alert rules show\n  kongdao alert rules show kongdao-objectives > objectives.yaml",
		Args:    usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			var list app.RuleTexts
			if err := c.do(cmd.Context(), http.MethodGet, "/alerts/rules", nil, nil, &list); err != nil {
				return err
			}
			if len(args) == 0 {
				return e.print(list, func(w io.Writer) { writeRuleTexts(w, list.Texts) })
			}
			i := slices.IndexFunc(list.Texts, func(t app.RuleText) bool { return t.Name == args[0] })
			if i < 0 {
				return invalid(fmt.Errorf("there are no rules %s: kongdao alert rules show lists the names", args[0]))
			}
			return e.print(list.Texts[i], func(w io.Writer) { fmt.Fprintln(w, strings.TrimRight(list.Texts[i].Text, "\n")) })
		},
	}
}

func writeRuleTexts(w io.Writer, texts []app.RuleText) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tORIGIN\tWRONG")
	for _, r := range texts {
		wrong, _, _ := strings.Cut(r.Error, "\n")
		fmt.Fprintf(t, "%s\t%s\t%s\n", r.Name, r.Origin, or(wrong, "-"))
	}
	_ = t.Flush() // to standard output
}

// fileResult is what became of one file.
type fileResult struct {
	File  string `json:"file"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// eachFile does something with files, and fails when one of them is wrong.
func (e *env) eachFile(files []string, do func(path string) error) error {
	results := make([]fileResult, len(files))
	var failed error
	for i, f := range files {
		results[i] = fileResult{File: f, OK: true}
		if err := do(f); err != nil {
			results[i].OK, results[i].Error = false, err.Error()
			failed = errors.New("not all is right")
		}
	}
	err := e.print(results, func(w io.Writer) {
		for _, r := range results {
			if r.OK {
				fmt.Fprintf(w, "%s: right\n", r.File)
				continue
			}
			fmt.Fprintf(w, "%s:\n  %s\n", r.File, strings.ReplaceAll(r.Error, "\n", "\n  "))
		}
	})
	if err == nil && failed != nil {
		return invalid(failed)
	}
	return err
}

func (e *env) rulesCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE…", Short: "are rule files right?",
		Long: `Check reads rule files as Prometheus does, and texts of log rules (logGroups), and
says what is wrong with them. It needs no running system. What resources hold is
checked by kongdao check.`,
		Example: "  kongdao alert rules check rules/*.yaml",
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return e.eachFile(args, func(path string) error {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				return rule.Check(string(text))
			})
		},
	}
}

func (e *env) rulesTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test FILE…", Short: "run tests of rules, in promtool's format",
		Long: `Test runs files of tests as promtool test rules does, by Prometheus' own engine.
It needs no running system.`,
		Example: "  kongdao alert rules test rules/*_test.yaml",
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.eachFile(args, func(path string) error { return unittest.Run(cmd.Context(), path) })
		},
	}
}
