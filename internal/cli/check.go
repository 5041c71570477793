package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/registry"
)

// checkResult is what check prints with -o json.
type checkResult struct {
	OK       bool         `json:"ok"`
	Problems api.Problems `json:"problems"`
	Hints    api.Problems `json:"hints,omitempty"` // what is allowed, but probably not meant
	Counts   []kindCount  `json:"resources"`
	Envoy    string       `json:"envoy,omitempty"`   // why Envoy's own check was not made
	Missing  []string     `json:"missing,omitempty"` // certificates that are not on this machine, hence not checked
}

type kindCount struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

func (e *env) checkCommand() *cobra.Command {
	var withEnvoy string
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "is everything in a folder of resources right?",
		Long: `Check reads every *.yaml and *.yml file below DIR and reports each problem as
file:line: field: message. Where Envoy is installed, the configuration that
would go to the gateways is also given to Envoy's own check.

Exit code 0 when nothing is wrong, 2 otherwise.`,
		Example: "  kongdao check resources/\n  kongdao check resources/ -o json",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, problems := registry.Load(args[0])
			r := checkResult{Problems: problems, Hints: api.Hints(set), Counts: counts(set)}
			more, missing := app.CheckCertificates(set, registry.Resolve)
			r.Problems, r.Missing = append(r.Problems, more...), missing
			r.Problems = append(r.Problems, app.CheckRules(set)...)
			if len(r.Problems) == 0 {
				var more api.Problems
				more, r.Envoy = app.CheckWithEnvoy(cmd.Context(), set, withEnvoy)
				r.Problems = append(r.Problems, more...)
			}
			r.OK = len(r.Problems) == 0
			if r.Problems == nil {
				r.Problems = api.Problems{}
			}
			if err := e.print(r, r.text); err != nil {
				return err
			}
			if !r.OK {
				return invalid(nil)
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	cmd.Flags().StringVar(&withEnvoy, "envoy", "", "path of Envoy (default: found as kongdao doctor shows)")
	return cmd
}

func (r checkResult) text(w io.Writer) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if !r.OK {
		return
	}
	for _, c := range r.Counts {
		fmt.Fprintf(w, "%-14s %d\n", c.Kind, c.Count)
	}
	for _, p := range r.Hints {
		fmt.Fprintf(w, "warning: %s\n", p)
	}
	for _, text := range r.Missing {
		fmt.Fprintf(w, "not checked: %s\n", text)
	}
	if r.Envoy != "" {
		fmt.Fprintf(w, "not checked by Envoy: %s\n", r.Envoy)
	}
	fmt.Fprintln(w, "nothing wrong")
}

func counts(s api.Set) []kindCount {
	return []kindCount{
		{api.KindFunction, len(s.Functions)},
		{api.KindZone, len(s.Zones)},
		{api.KindGatewayGroup, len(s.GatewayGroups)},
		{api.KindConsumer, len(s.Consumers)},
		{api.KindLimit, len(s.Limits)},
		{api.KindAlertRule, len(s.AlertRules)},
		{api.KindRobot, len(s.Robots)},
		{api.KindChannel, len(s.Channels)},
		{api.KindScenario, len(s.Scenarios)},
		{api.KindCertificate, len(s.Certificates)},
		{api.KindTrafficSwitch, len(s.TrafficSwitches)},
		{api.KindPerson, len(s.People)},
		{api.KindTeam, len(s.Teams)},
		{api.KindOnCall, len(s.OnCalls)},
	}
}
