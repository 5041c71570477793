package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) capacityListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [FN]", Short: "searches that are kept, the newest first",
		Long: `List shows what kongdao capacity find has found, the newest search first: the
newest 500 are kept. The next search of a function begins near the last one.`,
		Example: "  kongdao capacity list\n  kongdao capacity list recommend-feed -o json",
		Args:    usage(cobra.MaximumNArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if len(args) > 0 {
				query.Set("function", args[0])
			}
			all, err := e.searches(cmd.Context(), query)
			if err != nil {
				return err
			}
			return e.print(all, func(w io.Writer) { writeSearches(w, all) })
		},
	}
}

func (e *env) capacityShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "what a search has found, with its steps",
		Example: "  kongdao capacity show lt-5f0c1b2a3d4e",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := e.searches(cmd.Context(), url.Values{"run": {args[0]}})
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return invalid(fmt.Errorf("there is no result of a search %s: kongdao capacity list has all", args[0]))
			}
			return e.print(all[0], func(w io.Writer) { writeSearch(w, all[0]) })
		},
	}
}

func (e *env) searches(ctx context.Context, query url.Values) ([]apply.Found, error) {
	c, err := e.connect()
	if err != nil {
		return nil, err
	}
	var list app.FoundList
	err = c.do(ctx, http.MethodGet, "/capacity/found", query, nil, &list)
	return list.Found, err
}

func writeSearches(w io.Writer, all []apply.Found) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tFUNCTION\tREVISION\tSTARTED\tSAFE RATE\tUP TO\tPROVEN\tLOAD\tBROKE")
	for _, f := range all {
		high := "-"
		if f.High > 0 {
			high = fmt.Sprintf("%.1f/s", f.High)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f/s\t%s\t%.1f/s\t%v\t%d\n", f.Run, f.Function, orDash(f.Revision),
			f.Started.Local().Format(time.DateTime), f.Safe, high, f.Proven, f.Duration().Round(time.Second), f.Broke)
	}
	_ = t.Flush()
}

func writeSearch(w io.Writer, f apply.Found) {
	fmt.Fprintf(w, "run        %s of %s, %s\n", f.Run, f.Function, f.Started.Local().Format(time.DateTime))
	fmt.Fprintf(w, "pod        %s, revision %s, image %s\n", orDash(f.Pod), orDash(f.Revision), orDash(f.Image))
	_ = f.WriteText(w)
}
