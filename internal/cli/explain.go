package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/xds/explain"
)

func (e *env) explainCommand() *cobra.Command {
	var headers []string
	var gateway, group, zone string
	var client string
	cmd := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "what the gateway does with a request",
		Long: `Explain says which route takes a request, what acts on it, which limit it falls
under and which revision, zone and pods may get it, at this moment, in the
running system, with the line of the file that the route is written in.`,
		Example: "  kongdao explain GET http://api.example.com/recommend/feed\n  kongdao explain GET http://api.example.com/recommend/feed -H 'x-gray: 1' -o json",
		Args:    usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := explain.ParseRequest(args[0], args[1], headers)
			if err != nil {
				return invalid(err)
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			var a explain.Answer
			query := url.Values{"method": {args[0]}, "url": {args[1]}, "header": headers, "gateway": {gateway}, "group": {group}, "zone": {zone}, "client": {client}}
			if err := c.do(cmd.Context(), http.MethodGet, "/explain", query, nil, &a); err != nil {
				return err
			}
			return e.print(a, func(w io.Writer) { fmt.Fprint(w, a.For(r).Text()) })
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "address that the request comes from (default: one that is let in)")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "a header of the request, 'name: value'; may be repeated")
	cmd.Flags().StringVar(&gateway, "gateway", "", "as this connected gateway sees it; see kongdao gateway list")
	cmd.Flags().StringVar(&group, "group", "", "as the gateways of this GatewayGroup see it (default: default)")
	cmd.Flags().StringVar(&zone, "zone", "", "as gateways in this zone see it (default: all together)")
	return cmd
}
