package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

func (e *env) loadCommand() *cobra.Command {
	return group("load", "stress tests", e.loadRunCommand(), e.loadCheckCommand(), e.loadImportCommand(), e.loadReplayCommand(),
		e.loadReportCommand(), e.loadCompareCommand(),
		e.loadListCommand(), e.loadShowCommand(), e.loadAgentCommand(), e.loadManifestsCommand(),
		e.loadActiveCommand(), e.loadStopCommand(), e.loadAllowCommand())
}

func (e *env) loadRunCommand() *cobra.Command {
	var results, file string
	var allow []string
	var also outputs
	var keep bool
	var share crewFlags
	var canary time.Duration
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "carry out a stress test",
		Long: `Run carries out the Scenario in FILE: an open model with a bounded number of
workers, latency counted from the planned send time. Every request carries
x-kongdao-load-test, so the gateway and the call log know it for what it is.

Only this machine may be a target unless --allow names others.

While a system runs on the data directory it watches production for the test: when
an objective of a function breaks, by calls that are not the test's, or on kongdao
load stop, the generator is silent within a second and the run is invalid.

Where a target is another machine a first phase of 5 s at a hundredth of the peak
rate, one request a second at least, goes before the run (--canary-phase, or canary
of the scenario): when none of its requests is answered well, or a threshold is
broken already beyond chance, the run does not begin.

Exit code 0 when the run is valid and keeps its thresholds, 1 when a threshold
is broken, 2 when the scenario is wrong, 3 when the run says nothing about the
target: the generator itself was the limit, it was stopped, or it did not begin.`,
		Example: "  kongdao load run feed-300.yaml\n  kongdao load run feed-300.yaml -o json --results feed.gob && vegeta report feed.gob",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := readScenario(args[0])
			if err != nil {
				return err
			}
			limits, err := e.limits(cmd, file, allow)
			if err != nil {
				return err
			}
			r, err := e.runScenario(cmd.Context(), s, results, limits, canaryPhase(cmd, canary), share)
			if err != nil {
				return err
			}
			if keep {
				e.store(cmd.Context(), r)
			}
			if err := also.write(r); err != nil {
				return err
			}
			return e.verdict(r)
		},
	}
	also.flags(cmd)
	share.flags(cmd)
	cmd.Flags().BoolVar(&keep, "store", true, "store the result in the running system, if there is one, beside the calls it made")
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file, whose bounds of stress tests hold")
	cmd.Flags().StringVar(&results, "results", "", "write every single result to this file, in vegeta's encoding")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "hosts, host:port or CIDRs that may be targets besides this machine")
	maxBytesFlag(cmd)
	cmd.Flags().DurationVar(&canary, canaryName, 0, "first phase at a hundredth of the peak rate, 0: none (default: the scenario's, or 5s where a target is another machine)")
	return cmd
}

const canaryName = "canary-phase"

// canaryPhase is what the flag says, if it was given.
func canaryPhase(cmd *cobra.Command, given time.Duration) time.Duration {
	if !cmd.Flags().Changed(canaryName) {
		return loadtest.CanaryAuto
	}
	return max(0, given)
}

func readScenario(file string) (*api.Scenario, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, invalid(err)
	}
	set, problems := api.Parse(file, b)
	if len(problems) > 0 {
		return nil, problems
	}
	if len(set.Scenarios) != 1 {
		return nil, invalid(fmt.Errorf("%s: holds %d scenarios, want one document of kind Scenario", file, len(set.Scenarios)))
	}
	return set.Scenarios[0], nil
}

// limits are what the configuration allows a stress test.
func (e *env) limits(cmd *cobra.Command, file string, allow []string) (scenario.Limits, error) {
	l := scenario.DefaultLimits()
	cfg, err := e.load(cmd, systemFlags{config: file})
	if err != nil {
		return l, err
	}
	l.Hosts = append(cfg.LoadTest.Allow, allow...)
	l.MaxRate, l.MaxDuration, l.MaxBytes = cfg.LoadTest.MaxRate, cfg.LoadTest.MaxDuration.Std(), uint64(cfg.LoadTest.MaxBytes)
	boundBytes(cmd, &l)
	return l, nil
}

func (e *env) runScenario(ctx context.Context, s *api.Scenario, results string, limits scenario.Limits, canary time.Duration, share crewFlags) (r report.Result, err error) {
	view := e.newLiveView(s.Name)
	defer view.end()
	o := loadtest.Options{Name: s.Name, Limits: limits, Files: filesOf(s), Progress: view.show, Canary: canary}
	if d, err := loadtest.CanaryPhase(s.Spec, o); err == nil && d > 0 {
		fmt.Fprintf(e.err, "%v first at a hundredth of the rate: the run begins if that is answered well\n", d)
	}
	if results != "" {
		f, err := os.Create(results)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		o.Results = f
	}
	mark, err := e.loadMark(ctx)
	if err != nil {
		return r, err
	}
	sent := *s
	sent.Spec = marked(s.Spec, mark)
	s = &sent
	o.Run = loadtest.NewRunID()
	ctx, watch := e.watchLoad(ctx, o.Run, s.Name)
	defer func() { watch.end(&r) }()
	if share.agents > 0 {
		r, err = e.runCrew(ctx, share, s, o)
	} else {
		r, err = loadtest.Run(ctx, s.Spec, o)
	}
	if errors.Is(err, loadtest.ErrInvalidScenario) {
		return r, scenarioProblems(s, err)
	}
	return r, err
}

// verdict prints a result and turns it into the exit code.
func (e *env) verdict(r report.Result) error {
	if err := e.print(r, func(w io.Writer) { _ = r.WriteText(w) }); err != nil {
		return err
	}
	switch {
	case !r.Valid:
		return refused(nil)
	case !r.OK():
		return &exitError{code: exitFailed}
	}
	return nil
}

func (e *env) loadReportCommand() *cobra.Command {
	var also outputs
	cmd := &cobra.Command{
		Use: "report FILE", Short: "show the result of an earlier stress test",
		Long:    "Report reads what load run printed with -o json or wrote with --results, also files of vegeta itself.",
		Example: "  kongdao load report feed.gob -o json\n  kongdao load report feed.json --html feed.html",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := e.result(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := also.write(r); err != nil {
				return err
			}
			return e.print(r, func(w io.Writer) { _ = r.WriteText(w) })
		},
	}
	also.flags(cmd)
	return cmd
}

// result is that of a file, or of a stored run.
func (e *env) result(ctx context.Context, name string) (report.Result, error) {
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(name, "lt-") {
		d, err := e.storedRun(ctx, name)
		return d.Result, err
	}
	return readResult(name)
}

func readResult(name string) (report.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return report.Result{}, invalid(err)
	}
	defer f.Close()
	r, err := report.Read(f)
	if err != nil {
		return r, invalid(fmt.Errorf("%s: %w", name, err))
	}
	return r, nil
}
