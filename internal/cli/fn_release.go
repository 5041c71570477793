package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/release"
)

func (e *env) fnReleaseCommand() *cobra.Command {
	var command app.ReleaseCommand
	var reset, pause, resume, abort bool
	cmd := &cobra.Command{
		Use: "release FN", Short: "weights of a function's revisions, and its automatic release",
		Long: `Release without a flag shows which revision gets what, and why.

Weights that are set here go before those of the function's file, also after a
restart, until they are reset or the file says the same. They change nothing for
callers that are matched by header, cookie or list.`,
		Example: "  kongdao fn release recommend-feed\n  kongdao fn release recommend-feed --revision r13 --weight 5\n  kongdao fn release recommend-feed --pause\n  kongdao fn release recommend-feed --reset",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			weighted := cmd.Flags().Changed("weight")
			if weighted != (command.Revision != "") {
				return invalid(errors.New("--revision and --weight: want both"))
			}
			for action, on := range map[string]bool{"weight": weighted, "reset": reset, "pause": pause, "resume": resume, "abort": abort} {
				if on && command.Action != "" {
					return invalid(errors.New("want one of --weight, --reset, --pause, --resume and --abort"))
				}
				if on {
					command.Action = action
				}
			}
			return e.release(cmd, args[0], command)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&command.Revision, "revision", "", "the revision that --weight is for")
	fl.IntVar(&command.Weight, "weight", 0, "percent of the ordinary traffic; the other revisions share the rest as before")
	fl.BoolVar(&reset, "reset", false, "back to the weights of the file")
	fl.BoolVar(&pause, "pause", false, "keep the automatic release at its step; it is still rolled back when it is worse")
	fl.BoolVar(&resume, "resume", false, "go on with it, or begin anew after a rollback")
	fl.BoolVar(&abort, "abort", false, "end it, back to the weights that it began with")
	return cmd
}

func (e *env) fnRollbackCommand() *cobra.Command {
	command := app.ReleaseCommand{Action: "rollback"}
	cmd := &cobra.Command{
		Use: "rollback FN", Short: "all traffic back to the revision before",
		Long: `Rollback ends a release or split that is under way in favour of the revision
that it takes over from. Where one revision has everything, the last one that had
everything before it, and was not rolled back from itself, gets it again. The
weights hold until they are reset or the file says the same.`,
		Example: "  kongdao fn rollback recommend-feed\n  kongdao fn rollback recommend-feed --to r11",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error { return e.release(cmd, args[0], command) },
	}
	cmd.Flags().StringVar(&command.Revision, "to", "", "the revision that gets everything")
	return cmd
}

// release sends a command, if there is one, and shows how things stand.
func (e *env) release(cmd *cobra.Command, function string, command app.ReleaseCommand) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	path := "/functions/" + url.PathEscape(function)
	var s release.State
	if command.Action == "" {
		var f app.Function
		err = c.do(cmd.Context(), http.MethodGet, path, nil, nil, &f)
		s = f.Release
	} else {
		err = c.do(cmd.Context(), http.MethodPut, path+"/release", nil, command, &s)
	}
	if err != nil {
		return err
	}
	return e.print(s, func(w io.Writer) { writeRelease(w, s) })
}

// writeTraffic says whom matches send where; weights are writeRelease's.
func writeTraffic(w io.Writer, f *api.Function) {
	for _, t := range f.Spec.Traffic {
		if t.Match == nil {
			continue
		}
		fmt.Fprintf(w, "traffic   %s for", t.Revision)
		if len(t.Match.Headers) > 0 {
			fmt.Fprintf(w, " headers %v", t.Match.Headers)
		}
		if len(t.Match.Cookies) > 0 {
			fmt.Fprintf(w, " cookies %v", t.Match.Cookies)
		}
		if u := t.Match.Users; u != nil {
			fmt.Fprintf(w, " %d users by %s", len(u.In), u.Header+u.Cookie)
		}
		fmt.Fprintln(w)
	}
}

func writeRelease(w io.Writer, s release.State) {
	fmt.Fprintf(w, "traffic   %s\n", s.Weights)
	if o := s.Override; o != nil {
		fmt.Fprintf(w, "override  %s, by %s since %s; the file says %s\n", o.Weights, o.By, o.Time.Format(time.DateTime), s.Written)
	}
	if s.Void != "" {
		fmt.Fprintf(w, "override  does not count: %s\n", s.Void)
	}
	if p := s.Progress; p != nil {
		fmt.Fprintf(w, "release   %s %s at %d%% since %s", p.Revision, p.Phase, p.Percent, p.Since.Format(time.DateTime))
		if p.Reason != "" {
			fmt.Fprintf(w, ": %s", p.Reason)
		}
		fmt.Fprintln(w)
	}
	if s.Waiting != "" {
		fmt.Fprintf(w, "          waits for %s\n", s.Waiting)
	}
	if f := s.Figures; f != nil {
		writeCount(w, s.Progress.Revision, f.Revision)
		writeCount(w, s.Progress.From, f.From)
	}
	for _, ev := range s.Events {
		fmt.Fprintf(w, "event     %s  %s\n", ev.Time.Format(time.DateTime), ev.Text)
	}
}

func writeCount(w io.Writer, revision string, c release.Count) {
	fmt.Fprintf(w, "          %s in this step: %d calls, %d failed, %d slow\n", revision, c.Calls, c.Failed, c.Slow)
}
