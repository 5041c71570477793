package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/fnlog"
)

type logsFlags struct {
	callFilter
	follow  bool
	slowest bool
	limit   int
	sample  int
	columns []string
}

func (e *env) logsCommand() *cobra.Command {
	f := logsFlags{callFilter: callFilter{since: ago(15 * time.Minute)}}
	cmd := &cobra.Command{
		Use:   "logs [FN]",
		Short: "the calls of a function",
		Long: `Logs prints stored calls, oldest first, without any SQL. With -f it goes on with
new ones as soon as they are on the collector's disk, before ClickHouse has them.
With -o json it prints one call a line. Without FN it prints the calls of all
functions; --request-id and --trace need none, and no --since, and are followed
by what the functions logged themselves.`,
		Example: `  kongdao logs recommend-feed --status 5xx --since 1h
  kongdao logs recommend-feed -f --status '>=400' --zone zb-a
  kongdao logs recommend-feed --slowest --limit 10
  kongdao logs --trace 4bf92f3577b34da6a3ce929d0e0e4736 -o json`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			q := f.query(cmd, args)
			if f.follow {
				return e.followCalls(cmd.Context(), c, q, f)
			}
			return e.printStored(cmd.Context(), c, q, f)
		},
		ValidArgsFunction: e.completeFunctions,
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with new calls until Ctrl-C")
	f.callFilter.add(cmd)
	fl.BoolVar(&f.slowest, "slowest", false, "the slowest instead of the newest")
	fl.IntVar(&f.limit, "limit", 50, "calls at most; with -f, stored calls to begin with")
	fl.IntVar(&f.sample, "sample", 0, "about so many calls, spread over the time, functions and statuses; sample_weight says how many each stands for")
	fl.StringSliceVar(&f.columns, "columns", nil, "print these fields alone, with tabs between them, such as ts,status,path")
	e.tokenFlag(cmd.Flags())
	return cmd
}

func (e *env) printStored(ctx context.Context, c *client, q url.Values, f logsFlags) error {
	q.Set("limit", strconv.Itoa(f.limit))
	if f.slowest {
		q.Set("slowest", "true")
	}
	calls, err := c.calls(ctx, q, f.sample)
	if err != nil {
		return err
	}
	if len(calls) == 0 {
		fmt.Fprintln(e.err, "no such call"+f.when(q))
	}
	for _, call := range calls {
		if err := e.printCall(call, f.columns); err != nil {
			return err
		}
	}
	if len(calls) == 0 || len(f.columns) > 0 || !q.Has("request_id") && !q.Has("trace_id") {
		return nil
	}
	return e.printOwnLines(ctx, c, q)
}

// printOwnLines prints what functions logged themselves while they answered the
// calls of q, marked: in text with a bar, as JSON below "function_log".
func (e *env) printOwnLines(ctx context.Context, c *client, q url.Values) error {
	own := url.Values{"limit": {"1000"}}
	for _, name := range []string{"request_id", "trace_id"} {
		if q.Has(name) {
			own.Set(name, q.Get(name))
		}
	}
	lines, err := c.functionLogs(ctx, own)
	if err != nil {
		fmt.Fprintf(e.err, "what functions logged is not to be had: %v\n", err) // the calls are printed
		return nil
	}
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	for _, l := range lines {
		if e.output == "json" {
			err = enc.Encode(map[string]fnlog.Line{"function_log": l})
		} else if _, err = io.WriteString(e.out, "  | "); err == nil {
			err = writeLine(e.out, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// calls are stored ones: a sample of so many, or those of q; 0 is none.
func (c *client) calls(ctx context.Context, q url.Values, sample int) ([]app.Call, error) {
	if sample > 0 {
		q.Set("calls", strconv.Itoa(sample))
		var s app.Sample
		err := c.do(ctx, http.MethodGet, "/calls/sample", q, nil, &s)
		return s.Calls, err
	}
	var list app.CallList
	err := c.do(ctx, http.MethodGet, "/calls", q, nil, &list)
	return list.Calls, err
}

// followCalls prints calls as they come until ctx ends.
func (e *env) followCalls(ctx context.Context, c *client, q url.Values, f logsFlags) error {
	if f.sample > 0 {
		return invalid(errors.New("--sample: with -f there is none"))
	}
	if f.slowest {
		return invalid(errors.New("--slowest: with -f nobody knows which calls will be the slowest"))
	}
	q.Set("past", strconv.Itoa(f.limit))
	err := c.events(ctx, "/calls/tail", q, func(event string, data []byte) error {
		switch event {
		case "call":
			var call app.Call
			if err := json.Unmarshal(data, &call); err != nil {
				return fmt.Errorf("read a call: %w", err)
			}
			return e.printCall(call, f.columns)
		case "dropped":
			var d app.TailDropped
			_ = json.Unmarshal(data, &d) // 0 then
			fmt.Fprintf(e.err, "%d calls left out here: they came faster than they were read; they are stored all the same\n", d.Calls)
		case "state":
			var s app.TailState
			if err := json.Unmarshal(data, &s); err == nil && s.Note != "" {
				fmt.Fprintln(e.err, s.Note)
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil // Ctrl-C
	}
	return err
}

func (e *env) printCall(c app.Call, columns []string) error {
	switch {
	case len(columns) > 0:
		return e.printColumns(c, columns)
	case e.output == "json":
		enc := json.NewEncoder(e.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(c)
	}
	return writeCall(e.out, c)
}

// printColumns prints fields by their names in JSON.
func (e *env) printColumns(c app.Call, columns []string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	if e.output == "json" {
		picked := map[string]json.RawMessage{}
		for _, name := range columns {
			if v, ok := fields[name]; ok {
				picked[name] = v
			}
		}
		return json.NewEncoder(e.out).Encode(picked)
	}
	var texts []string
	for _, name := range columns {
		texts = append(texts, printable(fieldText(fields[name])))
	}
	_, err = fmt.Fprintln(e.out, strings.Join(texts, "\t"))
	return err
}

// fieldText is a string without its quotes, and everything else as in JSON.
func fieldText(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

func writeCall(w io.Writer, c app.Call) error {
	note := c.Flags
	if c.LimitedBy != "" {
		note += " limited by " + c.LimitedBy
	}
	_, err := fmt.Fprintf(w, "%s  %3d  %8.1fms  %-6s %-32s  %s %s %s  %s %s\n", c.Time.Local().Format("15:04:05.000"), c.Status,
		float64(c.DurationUS)/1000, c.Method, printable(c.Path), c.Revision, c.Zone, c.Pod, c.RequestID, note)
	return err
}
