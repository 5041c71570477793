package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) collectorCommand() *cobra.Command {
	return group("collector", "the way of calls to ClickHouse: what waits, what was refused, and sending that again",
		e.collectorStatusCommand(), e.collectorDeadCommand(), e.collectorReplayCommand(), e.collectorCompletenessCommand())
}

func (e *env) collectorStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "what waits for ClickHouse, how long, and what is wrong",
		Long: `Status asks the running system how far calls are stored. When none runs it says
what is on disk. The exit code is 3 when something is wrong, 0 otherwise.`,
		Example: "  kongdao collector status\n  kongdao collector status -o json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s app.CollectorStatus
			c, err := e.connect()
			switch {
			case errors.Is(err, app.ErrNotRunning):
				s, err = app.CollectorOnDisk(e.data)
			case err == nil:
				err = c.do(cmd.Context(), http.MethodGet, "/collector", nil, nil, &s)
			}
			if err != nil {
				return err
			}
			if err := e.print(s, func(w io.Writer) { writeCollector(w, s) }); err != nil {
				return err
			}
			if len(s.Problems) > 0 {
				return refused(nil)
			}
			return nil
		},
	}
}

func writeCollector(w io.Writer, s app.CollectorStatus) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if s.State == nil {
		fmt.Fprintln(t, "collector\tdoes not run")
	} else {
		writeState(t, *s.State)
	}
	if l := s.Logs; l != nil {
		fmt.Fprintf(t, "function logs\t%d stored, %d waiting\n", l.Stored, l.Unstored)
	}
	fmt.Fprintf(t, "dead letters\t%d, %d rows\n", s.DeadLetters, s.DeadRows)
	fmt.Fprintf(t, "quarantined\t%d\n", len(s.Quarantined))
	_ = t.Flush()
	for _, p := range s.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
}

func writeState(w io.Writer, s collector.Stats) {
	const mib = 1 << 20
	fmt.Fprintf(w, "read\t%d calls since the start\n", s.Read)
	fmt.Fprintf(w, "stored\t%d\n", s.Stored)
	fmt.Fprintf(w, "waiting\t%d, the oldest for %s\n", s.Unstored, s.Lag.Round(time.Millisecond))
	fmt.Fprintf(w, "on disk\t%.1f of %.1f MiB\n", float64(s.WALBytes)/mib, float64(s.WALBudget)/mib)
}

func (e *env) collectorDeadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "dead", Short: "blocks of calls that ClickHouse refused for good, and why",
		Example: "  kongdao collector dead\n  kongdao collector dead --data /var/lib/kongdao -o json",
		Args:    usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if _, err := os.Stat(e.data); err != nil {
				return invalid(fmt.Errorf("--data: %w", err))
			}
			dead, err := app.DeadLettersOnDisk(e.data)
			return errors.Join(e.print(dead, func(w io.Writer) { writeLetters(w, dead.Letters) }), err)
		},
	}
}

func writeLetters(w io.Writer, letters []ship.DeadLetter) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TOKEN\tTABLE\tROWS\tFROM\tTO\tREASON")
	for _, l := range letters {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", l.Token, l.Table, l.Rows,
			l.MinTime.Format(time.DateTime), l.MaxTime.Format(time.DateTime), oneLine(l.Reason))
	}
	_ = t.Flush()
}

func (e *env) collectorReplayCommand() *cobra.Command {
	var flags systemFlags
	cmd := &cobra.Command{
		Use: "replay [TOKEN…]", Short: "send refused blocks again",
		Long: `Replay sends the dead letters with the given tokens again, or all of them, after
what they were refused for has been mended. Each goes with its own token and is
looked up first, so it counts once, however often it is replayed. What is stored
is deleted; what is refused again stays, with the new reason (exit code 3).
It may be interrupted at any time.

It asks the running system. When none runs on the data directory, it starts
ClickHouse alone, or uses the server that the configuration names.`,
		Example: "  kongdao collector replay\n  kongdao collector replay 6f0c1d2e3a4b5c6d/17\n  kongdao collector replay -c kongdao.yaml --data /var/lib/kongdao",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			dead, _ := app.DeadLettersOnDisk(e.data)
			var tokens []string
			for _, l := range dead.Letters {
				tokens = append(tokens, l.Token+"\t"+oneLine(l.Reason))
			}
			return tokens, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, tokens []string) error {
			r, err := e.replay(cmd, flags, tokens)
			if err != nil {
				return err
			}
			if err := e.print(r, func(w io.Writer) { writeReplay(w, r) }); err != nil {
				return err
			}
			return replayError(r)
		},
	}
	cmd.Flags().StringVarP(&flags.config, "config", "c", "", "configuration file, for when no system runs")
	return cmd
}

func (e *env) replay(cmd *cobra.Command, flags systemFlags, tokens []string) (app.ReplayResult, error) {
	c, err := e.connect()
	if errors.Is(err, app.ErrNotRunning) {
		cfg, err := e.load(cmd, flags)
		if err != nil {
			return app.ReplayResult{}, err
		}
		fmt.Fprintln(e.err, "no system runs on", cfg.DataDir+": starting ClickHouse alone")
		return app.ReplayOffline(cmd.Context(), cfg, slog.New(slog.DiscardHandler), tokens)
	}
	if err != nil {
		return app.ReplayResult{}, err
	}
	if len(tokens) == 0 {
		var dead app.DeadLetters
		if err := c.do(cmd.Context(), http.MethodGet, "/collector/dead", nil, nil, &dead); err != nil {
			return app.ReplayResult{}, err
		}
		for _, l := range dead.Letters {
			tokens = append(tokens, l.Token)
		}
	}
	// One at a time: an interruption ends it between two, and no answer takes long.
	all := app.ReplayResult{Letters: []ship.Replayed{}}
	for i, token := range tokens {
		var r app.ReplayResult
		if err := c.do(cmd.Context(), http.MethodPost, "/collector/replay", nil, app.ReplayRequest{Tokens: []string{token}}, &r); err != nil {
			return all, err
		}
		all.Letters, all.Error = append(all.Letters, r.Letters...), r.Error
		if r.Error != "" {
			break
		}
		fmt.Fprintf(e.err, "%d of %d\n", i+1, len(tokens))
	}
	return all, nil
}

func writeReplay(w io.Writer, r app.ReplayResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TOKEN\tROWS\tSTORED\tREASON")
	for _, l := range r.Letters {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", l.Token, l.Rows, l.Stored, oneLine(l.Reason))
	}
	_ = t.Flush()
}

// replayError decides the exit code.
func replayError(r app.ReplayResult) error {
	if r.Error != "" {
		return errors.New(r.Error)
	}
	left := 0
	for _, l := range r.Letters {
		left += l.Rows - l.Stored
	}
	if left > 0 {
		return refused(fmt.Errorf("%d rows were refused again: see kongdao collector dead", left))
	}
	return nil
}

// oneLine is the beginning of a text for a table.
func oneLine(s string) string {
	const most = 120
	for i, r := range s {
		if r == '\n' || i >= most {
			return s[:i] + "…"
		}
	}
	return s
}
