package cli

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) callsCommand() *cobra.Command {
	cmd := group("calls", "questions about many calls: top, errors, rate, SQL",
		e.callsTopCommand(), e.callsErrorsCommand(), e.callsRateCommand(), e.callsSQLCommand())
	e.tokenFlag(cmd.PersistentFlags())
	return cmd
}

func (e *env) callsTopCommand() *cobra.Command {
	f := callFilter{since: ago(time.Hour)}
	var by, sort string
	var limit int
	cmd := &cobra.Command{
		Use: "top [FN]", Short: "which have the most calls, errors, bytes, or the worst p99",
		Long: `Top counts calls by function, revision, zone or anything else that a call has.
Each call counts with its sample weight. Where a rollup can answer it is asked.`,
		Example: "  kongdao calls top\n  kongdao calls top recommend-feed --by zone --sort p99 --since 6h\n  kongdao calls top --by user_agent --status 4xx -o json",
		Args:    usage(cobra.MaximumNArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			q := f.query(cmd, args)
			q.Set("by", by)
			q.Set("sort", sort)
			q.Set("limit", strconv.Itoa(limit))
			var top app.Top
			if err := c.do(cmd.Context(), http.MethodGet, "/calls/top", q, nil, &top); err != nil {
				return err
			}
			return e.print(top, func(w io.Writer) { topTable(w, e.err, top) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&by, "by", "function", "function, tenant, revision, zone, pod, gateway, consumer, path, method, host, user_agent, client_ip, status, flags or limited_by")
	fl.StringVar(&sort, "sort", "calls", "calls, errors, refused, p50, p99 or bytes")
	fl.IntVar(&limit, "limit", 20, "lines at most")
	f.add(cmd)
	return cmd
}

func topTable(w, notes io.Writer, top app.Top) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\tCALLS\tERRORS\tREFUSED\tP50\tP99\tIN\tOUT\n", heading(top.By))
	for _, r := range top.Rows {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", orDash(r.Key), r.Calls, share(r.Errors, r.Calls), share(r.Refused, r.Calls),
			micros(r.P50US), micros(r.P99US), size(r.BytesIn), size(r.BytesOut))
	}
	_ = t.Flush()
	if len(top.Rows) == 0 {
		fmt.Fprintln(notes, "no such call")
	}
	fmt.Fprintf(notes, "%s to %s, from %s, %d rows read\n", clock(top.From), clock(top.Until), top.Source, top.RowsRead)
}

func (e *env) callsErrorsCommand() *cobra.Command {
	f := callFilter{since: ago(time.Hour)}
	var limit int
	cmd := &cobra.Command{
		Use: "errors [FN]", Short: "what goes wrong: status, flags, details, how often, since when, an example",
		Long: `Errors groups calls that went wrong by function, status, Envoy's response flags
and details. Without --status those are 400 and above, and calls that the client
left. The share is of all calls of the function. See one with kongdao logs
--request-id EXAMPLE.`,
		Example: "  kongdao calls errors\n  kongdao calls errors recommend-feed --status 5xx --since 6h",
		Args:    usage(cobra.MaximumNArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			q := f.query(cmd, args)
			q.Set("limit", strconv.Itoa(limit))
			var list app.ErrorList
			if err := c.do(cmd.Context(), http.MethodGet, "/calls/errors", q, nil, &list); err != nil {
				return err
			}
			return e.print(list, func(w io.Writer) { errorTable(w, e.err, list) })
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "lines at most")
	f.add(cmd)
	return cmd
}

func errorTable(w, notes io.Writer, list app.ErrorList) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tSTATUS\tFLAGS\tDETAILS\tCALLS\tSHARE\tFIRST\tLAST\tEXAMPLE")
	for _, g := range list.Errors {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t%.2f%%\t%s\t%s\t%s\n", orDash(g.Function), g.Status, orDash(g.Flags), orDash(g.Details), g.Calls,
			g.Share*100, clock(g.First), clock(g.Last), g.Example)
	}
	_ = t.Flush()
	if len(list.Errors) == 0 {
		fmt.Fprintln(notes, "no such call")
	}
	fmt.Fprintf(notes, "%s to %s, %d rows read\n", clock(list.From), clock(list.Until), list.RowsRead)
}

func (e *env) callsRateCommand() *cobra.Command {
	f := callFilter{since: ago(time.Hour)}
	var step string
	cmd := &cobra.Command{
		Use: "rate [FN]", Short: "calls, errors and latency over time",
		Long: `Rate prints one line an interval. Rollups answer it where they can: standard
error says which table did, and how many rows it read.`,
		Example: "  kongdao calls rate recommend-feed\n  kongdao calls rate recommend-feed --since 24h --step 15m -o json",
		Args:    usage(cobra.MaximumNArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			q := f.query(cmd, args)
			if step != "" {
				q.Set("step", step)
			}
			var rate app.Rate
			if err := c.do(cmd.Context(), http.MethodGet, "/calls/rate", q, nil, &rate); err != nil {
				return err
			}
			return e.print(rate, func(w io.Writer) { rateTable(w, e.err, rate) })
		},
	}
	cmd.Flags().StringVar(&step, "step", "", "length of an interval, such as 1m; default: about 60 of them")
	f.add(cmd)
	return cmd
}

func rateTable(w, notes io.Writer, r app.Rate) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tCALLS\tCALLS/S\tERRORS\tREFUSED\tP50\tP99")
	for _, p := range r.Points {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%s\t%s\t%s\t%s\n", clock(p.Time), p.Calls, p.PerSecond, share(p.Errors, p.Calls), share(p.Refused, p.Calls),
			micros(p.P50US), micros(p.P99US))
	}
	_ = t.Flush()
	fmt.Fprintf(notes, "intervals of %v, from %s, %d rows read\n", time.Duration(r.StepSeconds)*time.Second, r.Source, r.RowsRead)
}
