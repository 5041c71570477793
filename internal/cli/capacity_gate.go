package cli

import (
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/capacity/gate"
)

func (e *env) capacityGateCommand() *cobra.Command {
	var revision string
	var weight int
	cmd := &cobra.Command{
		Use: "gate FN", Short: "may this function go live?",
		Long: `Gate checks that the revision's rate was measured lately, its pods suffice with a
zone lost, the loss of a zone is provided for, an alert reaches an owner, and
objective and access are declared. It says what mends each that is not.
Exit code 3 when not.`,
		Example: "  kongdao capacity gate recommend-feed\n  kongdao capacity gate recommend-feed --revision r13 --weight 20 -o json",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			query := url.Values{}
			if revision != "" {
				query.Set("revision", revision)
			}
			if weight != 0 {
				query.Set("weight", strconv.Itoa(weight))
			}
			var v gate.Verdict
			if err := c.do(cmd.Context(), http.MethodGet, "/capacity/gate/"+url.PathEscape(args[0]), query, nil, &v); err != nil {
				return err
			}
			if err := e.print(v, func(w io.Writer) { _ = gate.WriteText(w, []gate.Verdict{v}) }); err != nil {
				return err
			}
			if !v.OK {
				return refused(nil)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&revision, "revision", "", "that is to go live (default: the one that is released, else the last one with traffic)")
	fl.IntVar(&weight, "weight", 0, "percent of the calls that its own pods have to suffice for (default: all pods of the function count)")
	return cmd
}
