package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/loadtest/scenario"
)

func (e *env) loadCheckCommand() *cobra.Command {
	var file string
	var allow []string
	cmd := &cobra.Command{
		Use: "check FILE", Short: "say what a stress test would do, without sending anything",
		Long: `Check reads a Scenario as load run does, with its data files and the variables
that it names, and says what is wrong by file, line and field; else it prints the
plan: the rate over time, how many requests, where to, and the caps. Services of
gRPC are not asked for their schema.

Exit code 0 when load run would begin, 2 when the scenario is wrong.`,
		Example: "  kongdao load check shop.yaml\n  kongdao load check shop.yaml --allow staging.example.com -o json",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := readScenario(args[0])
			if err != nil {
				return err
			}
			limits, err := e.limits(cmd, file, allow)
			if err != nil {
				return err
			}
			p, err := scenario.NewIn(s.Spec, limits, filesOf(s))
			if err != nil {
				return scenarioProblems(s, err)
			}
			return e.print(p.Summary(), func(w io.Writer) { _ = p.WriteText(w) })
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file, whose bounds of stress tests hold")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "hosts, host:port or CIDRs that may be targets besides this machine")
	maxBytesFlag(cmd)
	return cmd
}

// yamlFiles completes names of scenarios.
func yamlFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}
