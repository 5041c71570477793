package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/loadtest/report"
)

func (e *env) loadCompareCommand() *cobra.Command {
	var tolerance string
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "say whether the difference between two stress tests is real",
		Long: `Compare reads two results, as load run printed them with -o json or wrote them
with --results, or the ids of stored runs, and says how B differs from A: for p50, p90, p99 and the share
of failures the change with its bounds, whether chance alone explains it, and
the smallest change that these runs would have shown.

Requests that follow each other are alike, so runs are compared by parts of
time, not by single requests. Two equal runs differ in 5 % of comparisons at
most.

Exit code 1 when B is worse than A by more than the tolerance for certain (the
whole interval of a change is above it), 3 when a run is invalid or too short.`,
		Example: "  kongdao load compare before.json after.json --tolerance 5%\n  kongdao load compare lt-0123456789ab lt-ba9876543210",
		Args:    usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			bound, err := shareOf(tolerance)
			if err != nil {
				return invalid(fmt.Errorf("--tolerance %w", err))
			}
			var runs [2]report.Result
			for i, name := range args {
				if runs[i], err = e.result(cmd.Context(), name); err != nil {
					return err
				}
			}
			c, err := report.Compare(runs[0], runs[1], bound)
			if errors.Is(err, report.ErrNotComparable) {
				return refused(err)
			}
			if err := errors.Join(err, e.print(c, func(w io.Writer) { _ = c.WriteText(w) })); err != nil {
				return err
			}
			if c.Beyond {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&tolerance, "tolerance", "0%", "how much worse B may be, such as 5% or 0.05")
	return cmd
}

// shareOf reads "5%" or "0.05".
func shareOf(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%s: want a share such as 5%% or 0.05", text)
	}
	if percent {
		v /= 100
	}
	return v, nil
}
