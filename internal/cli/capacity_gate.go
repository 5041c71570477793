package cli

import (
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/capacity/gate"
)

func (e *env) capacityGateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "gate FN", Short: "may this function go live?",
		Long:    "Gate checks that a function's rate is measured, its pods suffice with a zone lost, and objective and access are declared. Exit code 3 when not.",
		Example: "  kongdao capacity gate recommend-feed",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			var v gate.Verdict
			if err := c.do(cmd.Context(), http.MethodGet, "/capacity/gate/"+url.PathEscape(args[0]), nil, nil, &v); err != nil {
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
}
