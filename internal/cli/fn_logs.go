package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/fnlog"
)

const (
	// followLogsEvery is how often fn logs -f asks for new records.
	followLogsEvery = 500 * time.Millisecond
	// followLogsOverlap is how far back each question of fn logs -f reaches: records
	// have the time at which they were written, and arrive in batches later.
	followLogsOverlap = 30 * time.Second
)

type fnLogsFlags struct {
	texts        map[string]*string // by the name of the API's parameter
	since, until moment
	follow       bool
	limit        int
}

func (e *env) fnLogsCommand() *cobra.Command {
	f := fnLogsFlags{since: ago(15 * time.Minute), texts: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "logs [FN]",
		Short: "what a function logs itself",
		Long: `Logs prints what functions log themselves and send over OTLP, oldest first. With
-f it goes on with new records; with -o json it prints one record a line.
--request-id and --trace find what belongs to one call or trace, whichever of the
two ids a record names; they need no FN and no --since.`,
		Example: `  kongdao fn logs recommend-feed --severity error --since 1h
  kongdao fn logs recommend-feed -f
  kongdao fn logs --request-id f5a1c1d2-8a47-4b6c-9d51-0c7d7a1c0f5e`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			return e.functionLogs(cmd.Context(), c, f.query(cmd, args), f)
		},
		ValidArgsFunction: e.completeFunctions,
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with new records until Ctrl-C")
	for _, t := range []struct{ parameter, flag, help string }{
		{"severity", "severity", "at least as severe: " + strings.Join(fnlog.SeverityNames(), ", ")},
		{"text", "text", "whose message holds this, in upper or lower case"},
		{"request_id", "request-id", "of this call alone"},
		{"trace_id", "trace", "of this trace alone"},
		{"tenant", "tenant", "of functions of this tenant"},
		{"revision", "revision", "of this revision"},
		{"zone", "zone", "of pods in this zone"},
		{"pod", "pod", "of the pod with this name"},
	} {
		f.texts[t.parameter] = fl.String(t.flag, "", t.help)
	}
	fl.Var(&f.since, "since", "how far back, or since when")
	fl.Var(&f.until, "until", "how far back to end, or until when; default: now")
	fl.IntVar(&f.limit, "limit", 100, "records at most, the newest ones")
	e.tokenFlag(fl)
	_ = cmd.RegisterFlagCompletionFunc("severity", cobra.FixedCompletions(fnlog.SeverityNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// query is what was asked for, as parameters of the API.
func (f *fnLogsFlags) query(cmd *cobra.Command, args []string) url.Values {
	q := url.Values{"limit": {strconv.Itoa(f.limit)}}
	if len(args) > 0 {
		q.Set("function", args[0])
	}
	for name, value := range f.texts {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	if !q.Has("request_id") && !q.Has("trace_id") || cmd.Flags().Changed("since") {
		q.Set("since", f.since.at().UTC().Format(time.RFC3339Nano))
	}
	if cmd.Flags().Changed("until") {
		q.Set("until", f.until.at().UTC().Format(time.RFC3339Nano))
	}
	return q
}

func (c *client) functionLogs(ctx context.Context, q url.Values) ([]fnlog.Line, error) {
	var list app.FunctionLogs
	err := c.do(ctx, http.MethodGet, "/function-logs", q, nil, &list)
	return list.Logs, err
}

func (e *env) functionLogs(ctx context.Context, c *client, q url.Values, f fnLogsFlags) error {
	lines, err := c.functionLogs(ctx, q)
	if err != nil {
		return err
	}
	if len(lines) == 0 && !f.follow {
		fmt.Fprintln(e.err, "no such record")
	}
	if err := e.printLines(lines); err != nil || !f.follow {
		return err
	}
	err = e.followLines(ctx, c, q, lines)
	if ctx.Err() != nil {
		return nil // Ctrl-C
	}
	return err
}

// followLines prints new records until ctx ends. Questions overlap, because records
// arrive out of order; printed drops the doubles.
func (e *env) followLines(ctx context.Context, c *client, q url.Values, begin []fnlog.Line) error {
	printed := seenLines{}
	printed.fresh(begin)
	q.Set("limit", "10000")
	q.Del("until")
	tick := time.NewTicker(followLogsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		horizon := time.Now().Add(-followLogsOverlap)
		q.Set("since", horizon.UTC().Format(time.RFC3339Nano))
		lines, err := c.functionLogs(ctx, q)
		if err != nil {
			return err
		}
		if err := e.printLines(printed.fresh(lines)); err != nil {
			return err
		}
		printed.forget(horizon)
	}
}

// seenLines counts records by all that they say: two equal ones are two.
type seenLines map[string]seenLine

type seenLine struct {
	count int
	time  time.Time
}

// fresh are those of lines, an answer, that were in no answer before.
func (s seenLines) fresh(lines []fnlog.Line) (fresh []fnlog.Line) {
	counts := map[string]int{}
	for _, l := range lines {
		b, err := json.Marshal(l)
		if err != nil {
			continue // it has been JSON before
		}
		key := string(b)
		if counts[key]++; counts[key] > s[key].count {
			s[key] = seenLine{count: counts[key], time: l.Time}
			fresh = append(fresh, l)
		}
	}
	return fresh
}

func (s seenLines) forget(before time.Time) {
	for key, l := range s {
		if l.time.Before(before) {
			delete(s, key)
		}
	}
}

func (e *env) printLines(lines []fnlog.Line) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	for _, l := range lines {
		if e.output == "json" {
			if err := enc.Encode(l); err != nil {
				return err
			}
			continue
		}
		if err := writeLine(e.out, l); err != nil {
			return err
		}
	}
	return nil
}

func writeLine(w io.Writer, l fnlog.Line) error {
	severity := orDash(fnlog.SeverityName(l.Severity))
	var attrs []string
	for k, v := range l.Attrs {
		attrs = append(attrs, fmt.Sprintf("%s=%q", k, v))
	}
	slices.Sort(attrs)
	_, err := fmt.Fprintf(w, "%s  %-5s  %s %s %s  %s  %s\n", l.Time.Local().Format("2006-01-02 15:04:05.000"), severity,
		l.Function, orDash(l.Revision), orDash(l.Pod), printable(l.Body), strings.Join(attrs, " "))
	return err
}

// printable keeps what a function logs from moving the cursor of who reads it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}
