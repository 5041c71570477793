package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) collectorCompletenessCommand() *cobra.Command {
	since := ago(time.Hour)
	var gateway string
	var all bool
	cmd := &cobra.Command{
		Use: "completeness", Short: "calls that gateways counted and that are not stored",
		Long: `Completeness compares what each gateway counted with what came out of its log and
with what ClickHouse has, minute by minute: LOST never came out of the gateway's
log, UNSTORED did and is not in ClickHouse, KILLED is an estimate of what a gateway
took with it, LATE is still expected. It prints the sum of each gateway, and the
minutes in which something is missing. The exit code is 3 when something is, 0
otherwise.`,
		Example: "  kongdao collector completeness\n  kongdao collector completeness --since 24h --gateway gateway-1 -o json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			q := url.Values{"since": {since.at().UTC().Format(time.RFC3339Nano)}, "gateway": {gateway}, "limit": {"100000"}}
			var found app.Completeness
			if err := c.do(cmd.Context(), http.MethodGet, "/completeness", q, nil, &found); err != nil {
				return err
			}
			if err := e.print(found, func(w io.Writer) { completenessTable(w, e.err, found, all) }); err != nil {
				return err
			}
			for _, g := range found.Gateways {
				if g.Missing > 0 {
					return refused(nil)
				}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.Var(&since, "since", "how far back, or from when")
	fl.StringVar(&gateway, "gateway", "", "this one alone")
	fl.BoolVar(&all, "all", false, "every minute, also those in which nothing is missing")
	return cmd
}

func completenessTable(w, notes io.Writer, c app.Completeness, all bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GATEWAY\tZONE\tCALLS\tMISSING\tLATE\tSTORED")
	for _, g := range c.Gateways {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%.4f%%\n", g.Gateway, orDash(g.GatewayZone), g.Calls, g.Missing, g.Late, g.Ratio*100)
	}
	_ = t.Flush()
	minutes := 0
	for _, r := range c.Rows {
		if r.Missing()+r.Late == 0 && !all {
			continue
		}
		if minutes++; minutes == 1 {
			fmt.Fprintln(t, "\nMINUTE\tGATEWAY\tCOUNTED\tLOST\tUNSTORED\tKILLED\tLATE\tDROPPED\tIN FLIGHT")
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", clock(r.Minute), r.Gateway, r.Counted, r.Lost, r.Unstored, r.Estimated, r.Late, r.Dropped, r.InFlight)
	}
	_ = t.Flush()
	if len(c.Gateways) == 0 {
		fmt.Fprintln(notes, "no gateway's counters are known yet: the first minute is told a little after it is over")
	}
}
