package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/replay"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

type replayFlags struct {
	from, to                             moment
	function, target, file, results, cfg string
	speed                                float64
	methods, headers, allow, thresholds  []string
	weights, keep                        bool
	workers                              int
	timeout                              time.Duration
	also                                 outputs
}

func (e *env) loadReplayCommand() *cobra.Command {
	f := replayFlags{from: ago(15 * time.Minute)}
	cmd := &cobra.Command{
		Use: "replay", Short: "send stored calls again, at their own times or faster",
		Long: `Replay sends the stored calls of a time again, each when it arrived, at --speed 0.1
to 20 times as fast. It reads them from the running system while it sends, or from
--calls-file, as kongdao logs -o json prints them.

Calls are stored without bodies, so only GET and HEAD are sent unless --methods
names others; each goes to --target (default: the gateway of the running system)
with its own path, query, Host and user agent, and with those --headers that calls
keep. Calls of load tests are not replayed.

A stored call may stand for several: with --weights it is sent as often, spread
over a second; else the result says how many calls it stood for. What is missing of
that time, as far as gateways' counters tell, is said, too.

Exit codes are those of load run.`,
		Example: `  kongdao load replay --from 1h --to 45m --function recommend-feed --speed 2
  kongdao load replay --from 2026-01-02T20:00 --to 2026-01-02T20:10 --target http://127.0.0.1:9000
  kongdao logs --since 1h --limit 10000 -o json | kongdao load replay --calls-file - --target http://127.0.0.1:9000`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return e.replayCalls(cmd, f) },
	}
	fl := cmd.Flags()
	fl.Var(&f.from, "from", "from when, or how long ago")
	fl.Var(&f.to, "to", "until when, or how long ago; default: now")
	fl.StringVar(&f.function, "function", "", "calls of this function alone")
	fl.StringVar(&f.file, "calls-file", "", "take calls from this file, - for standard input (default: stored ones)")
	fl.StringVar(&f.target, "target", "", "where to send them, such as http://127.0.0.1:9000 (default: the gateway of the running system)")
	fl.Float64Var(&f.speed, "speed", 1, "how many times as fast, 0.1 to 20")
	fl.StringSliceVar(&f.methods, "methods", nil, "methods that are sent (default GET,HEAD)")
	fl.StringSliceVar(&f.headers, "headers", nil, "headers that calls keep, to be sent again; see collector.headers of kongdao.yaml")
	fl.BoolVar(&f.weights, "weights", false, "send a call of a sample as often as it stands for")
	fl.IntVar(&f.workers, "workers", 64, "requests in flight at most")
	fl.DurationVar(&f.timeout, "timeout", scenario.DefaultTimeout, "of one request")
	fl.StringArrayVar(&f.thresholds, "threshold", nil, `what must hold, such as "p99 < 120ms"; may be given again`)
	fl.StringVar(&f.results, "results", "", "write every single result to this file, in vegeta's encoding")
	fl.BoolVar(&f.keep, "store", true, "store the result in the running system, if there is one, beside the calls it made")
	fl.StringVarP(&f.cfg, "config", "c", "", "configuration file, whose bounds of stress tests hold")
	fl.StringSliceVar(&f.allow, "allow", nil, "hosts, host:port or CIDRs that may be targets besides this machine")
	f.also.flags(cmd)
	maxBytesFlag(cmd)
	e.tokenFlag(fl)
	_ = cmd.RegisterFlagCompletionFunc("function", func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return e.completeFunctions(cmd, nil, word)
	})
	return cmd
}

func (e *env) replayCalls(cmd *cobra.Command, f replayFlags) error {
	limits, err := e.limits(cmd, f.cfg, f.allow)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	c := replay.Config{Speed: f.speed, Methods: upper(f.methods), Weights: f.weights, MaxRate: limits.MaxRate, Longest: limits.MaxDuration}
	w := loadtest.Replayed{Workers: f.workers, Timeout: f.timeout, Thresholds: f.thresholds}
	source, length, err := e.callSource(ctx, f, &c)
	if err != nil {
		return err
	}
	w.Length = length
	if c.Target, err = e.replayTarget(f.target); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return invalid(err)
	}
	if !limits.Allows(c.Target.Host) { // before a call is read
		return invalid(fmt.Errorf("--target: host %s is not on the list of hosts that may be load-tested: name it with --allow", c.Target.Host))
	}
	mark, err := e.loadMark(ctx)
	if err != nil {
		return err
	}
	if mark != "" {
		c.Header = http.Header{http.CanonicalHeaderKey(mark): {"1"}}
	}
	calls, err := replay.New(ctx, c, source)
	if err != nil {
		return invalid(err)
	}
	r, err := e.runReplay(ctx, calls, c.Target.String(), w, f, limits)
	if err != nil {
		return err
	}
	e.tell(calls.Told(), f)
	if f.keep {
		e.store(ctx, r)
	}
	if err := f.also.write(r); err != nil {
		return err
	}
	return e.verdict(r)
}

func (e *env) runReplay(ctx context.Context, calls *replay.Replay, target string, w loadtest.Replayed, f replayFlags, limits scenario.Limits) (r report.Result, err error) {
	view := e.newLiveView("replay")
	defer view.end()
	o := loadtest.Options{Name: "replay", Limits: limits, Progress: view.show}
	if f.results != "" {
		out, err := os.Create(f.results)
		if err != nil {
			return r, errors.Join(err, calls.Close())
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		o.Results = out
	}
	o.Run = loadtest.NewRunID()
	ctx, watch := e.watchLoad(ctx, o.Run, o.Name)
	defer func() { watch.end(&r) }()
	r, err = loadtest.Replay(ctx, calls, target, w, o)
	if errors.Is(err, loadtest.ErrInvalidScenario) {
		err = invalid(err)
	}
	return r, err
}

// tell says on standard error what the record held and what of it was not sent.
func (e *env) tell(t replay.Told, f replayFlags) {
	fmt.Fprintf(e.err, "%d calls read, of %s to %s", t.Read, t.First.Local().Format(time.DateTime), t.Last.Local().Format(time.DateTime))
	if t.Stood != t.Read {
		fmt.Fprintf(e.err, ", which stand for %d", t.Stood)
		if !f.weights {
			fmt.Fprint(e.err, " (each was sent once: --weights sends as many)")
		}
	}
	fmt.Fprintln(e.err)
	for _, why := range slices.Sorted(maps.Keys(t.LeftOut)) {
		fmt.Fprintf(e.err, "left out: %d, %s\n", t.LeftOut[why], why)
	}
	if t.Backward > 0 {
		fmt.Fprintf(e.err, "%d calls were older than one before them and were sent at once\n", t.Backward)
	}
}

func upper(all []string) []string {
	var out []string
	for _, m := range all {
		out = append(out, strings.ToUpper(strings.TrimSpace(m)))
	}
	return out
}

func (e *env) replayTarget(target string) (*url.URL, error) {
	if target == "" {
		c, err := e.connect()
		if err != nil {
			return nil, err
		}
		if c.addresses.Gateway == "" {
			return nil, invalid(errors.New("--target: the running system has no gateway of its own, want an address such as http://127.0.0.1:9000"))
		}
		target = "http://" + c.addresses.Gateway
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return nil, invalid(fmt.Errorf("--target: is %q, want scheme, host and port, such as http://127.0.0.1:9000", target))
	}
	return u, nil
}

// callSource is where calls come from, and how long the run will be; 0: not known.
func (e *env) callSource(ctx context.Context, f replayFlags, c *replay.Config) (replay.Source, time.Duration, error) {
	if f.file != "" {
		return e.fileSource(f), 0, nil
	}
	connected, err := e.connect()
	if err != nil {
		return nil, 0, err
	}
	from, to := f.from.at(), time.Now()
	if f.to != (moment{}) {
		to = f.to.at()
	}
	if !from.Before(to) {
		return nil, 0, invalid(fmt.Errorf("--from %s is not before --to %s", from.Format(time.RFC3339), to.Format(time.RFC3339)))
	}
	c.From = from
	e.tellMissing(ctx, connected, from, to)
	q := url.Values{}
	if f.function != "" {
		q.Set("function", f.function)
	}
	source := func(ctx context.Context, give func(replay.Call) bool) error {
		return connected.eachCall(ctx, q, from, to, func(call app.Call) bool { return give(f.recorded(call)) })
	}
	if f.speed <= 0 {
		return source, 0, nil // Validate says so
	}
	return source, time.Duration(float64(to.Sub(from)) / f.speed), nil
}

func (e *env) fileSource(f replayFlags) replay.Source {
	return func(_ context.Context, give func(replay.Call) bool) error {
		in, where := e.in, "standard input"
		if f.file != "-" {
			file, err := os.Open(f.file)
			if err != nil {
				return err
			}
			defer file.Close()
			in, where = file, f.file
		}
		err := app.EachCall(in, func(c app.Call) bool {
			if c.LoadTest != "" || f.function != "" && c.Function != f.function {
				return true
			}
			return give(f.recorded(c))
		})
		if err != nil {
			return fmt.Errorf("%s:%w", where, err)
		}
		return nil
	}
}

// recorded is what is sent of a call.
func (f replayFlags) recorded(c app.Call) replay.Call {
	r := replay.Call{Time: c.Time, Method: c.Method, Host: c.Host, Path: c.Path, Weight: c.SampleWeight, Header: http.Header{}}
	if c.UserAgent != "" {
		r.Header.Set("User-Agent", c.UserAgent)
	}
	for _, name := range f.headers {
		if v := c.Attrs[strings.ToLower(name)]; v != "" {
			r.Header.Set(name, v)
		}
	}
	return r
}

// tellMissing says what gateways counted and nobody stored.
func (e *env) tellMissing(ctx context.Context, c *client, from, to time.Time) {
	var found app.Completeness
	q := url.Values{"since": {from.UTC().Format(time.RFC3339Nano)}, "limit": {"100000"}}
	if err := c.do(ctx, http.MethodGet, "/completeness", q, nil, &found); err != nil {
		fmt.Fprintf(e.err, "whether calls of that time are missing is not known: %v\n", err)
		return
	}
	var missing, late int64
	for _, r := range found.Rows {
		if !r.Minute.After(to) {
			missing, late = missing+r.Missing(), late+r.Late
		}
	}
	if missing+late > 0 {
		fmt.Fprintf(e.err, "of that time %d calls are missing and %d are still expected: they are not replayed\n", missing, late)
	}
}
