package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest/report"
)

// stoppedByWatch is what a result says of a run that production, or somebody else,
// has stopped.
const stoppedByWatch = "production"

// loadWatch ends a stress test when the running system says so.
type loadWatch struct {
	stop context.CancelFunc // of the watch
	all  sync.WaitGroup

	mu  sync.Mutex
	why string // the run was stopped; empty: it was not
}

// Silence of the running system that a stress test ends for: nobody would tell it to
// stop.
const watchSilence = 5 * time.Second

// watchLoad registers a run with the system that runs on this data directory, if there
// is one, and returns a context that ends when the run has to stop. Without a system
// there is no production to watch, which is said.
func (e *env) watchLoad(ctx context.Context, run, scenario string) (context.Context, *loadWatch) {
	w := &loadWatch{stop: func() {}}
	c, err := e.connect()
	if errors.Is(err, app.ErrNotRunning) {
		return ctx, w
	}
	if err != nil {
		fmt.Fprintf(e.err, "production is not watched: %v\n", err)
		return ctx, w
	}
	ctx, stopRun := context.WithCancel(ctx)
	watching, stop := context.WithCancel(ctx)
	w.stop = func() { stop(); stopRun(); w.all.Wait() }
	begun := make(chan error, 1)
	w.all.Go(func() { w.follow(watching, c, run, scenario, begun, stopRun) })
	patience := time.NewTimer(watchSilence)
	defer patience.Stop()
	select {
	case err = <-begun:
	case <-patience.C:
		stop()
		err = errors.New("the running system does not answer")
	}
	if err != nil {
		fmt.Fprintf(e.err, "production is not watched: %v\n", err)
	}
	return ctx, w
}

// follow reads events until the run has ended, or has to.
func (w *loadWatch) follow(ctx context.Context, c *client, run, scenario string, begun chan<- error, stopRun func()) {
	silent := time.AfterFunc(time.Hour, func() { w.give("the running system is silent: nobody watches production", stopRun) })
	silent.Stop() // until it has spoken
	defer silent.Stop()
	known := false
	err := c.events(ctx, "/load-active/"+url.PathEscape(run)+"/watch", url.Values{"scenario": {scenario}}, func(event string, data []byte) error {
		silent.Reset(watchSilence)
		if !known {
			known = true
			begun <- nil
		}
		if event != "stop" {
			return nil
		}
		var s app.LoadStop
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		w.give(s.Reason, stopRun)
		return errStopped
	})
	switch {
	case !known:
		begun <- err
	case ctx.Err() == nil && !errors.Is(err, errStopped):
		w.give("production cannot be watched any more: "+err.Error(), stopRun)
	}
}

var errStopped = errors.New("stopped")

// give stops the run, for the first reason that comes.
func (w *loadWatch) give(why string, stopRun func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == "" {
		w.why = why
	}
	stopRun()
}

// reason is why the run was stopped; empty: it was not.
func (w *loadWatch) reason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// end ends the watch and notes in the result why the run was stopped.
func (w *loadWatch) end(r *report.Result) {
	w.stop()
	if why := w.reason(); why != "" {
		r.Stopped, r.Valid = stoppedByWatch, false
		r.InvalidReasons = append(r.InvalidReasons, why)
	}
}

func (e *env) loadStopCommand() *cobra.Command {
	var all bool
	var refuse time.Duration
	cmd := &cobra.Command{
		Use: "stop [RUN…]", Short: "stop stress tests that are under way, requests in flight included",
		Long: `Stop ends stress tests that the running system knows of: those whose load run was
started on this data directory. They are silent within a second.

With --all the gateways also refuse the requests of stress tests, whoever sends them,
for as long as --refuse says or until kongdao load allow: generators that nobody
remembers are silenced so.`,
		Example: "  kongdao load stop --all\n  kongdao load stop lt-0123456789ab",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return invalid(errors.New("kongdao load stop: want runs, or --all"))
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			if all {
				return stopAll(cmd.Context(), c, refuse)
			}
			for _, run := range args {
				if err := c.do(cmd.Context(), http.MethodDelete, "/load-active/"+url.PathEscape(run), nil, nil, nil); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.Flags().DurationVar(&refuse, "refuse", 10*time.Minute, "with --all: how long gateways refuse requests of stress tests; 0: not at all")
	return cmd
}

func (e *env) loadActiveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "active", Short: "stress tests that are under way", Example: "  kongdao load active", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			var list app.ActiveLoadList
			if err := c.do(cmd.Context(), http.MethodGet, "/load-active", nil, nil, &list); err != nil {
				return err
			}
			e.tellRefused(list.Refused)
			return e.print(list.Runs, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "RUN\tSCENARIO\tSINCE")
				for _, r := range list.Runs {
					fmt.Fprintf(t, "%s\t%s\t%s\n", r.Run, r.Scenario, r.Since.Local().Format(time.DateTime))
				}
				_ = t.Flush()
			})
		},
	}
}
