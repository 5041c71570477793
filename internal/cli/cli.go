// Package cli is the command line: one file for each command, and the only place
// with flags, standard input and output.
//
// Rules for output: results on standard output, everything else on standard
// error; lower case, no full stop; -o json prints exactly one JSON document (or
// one a line where results stream). Exit codes: 0 done, 1 failed, 2 wrong usage
// or invalid input, 3 a gate said no.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/config"
)

// Exit codes of the contract.
const (
	exitDone    = 0
	exitFailed  = 1
	exitInvalid = 2
	exitRefused = 3
)

// exitError is an error that decides the exit code.
type exitError struct {
	code int
	err  error // nil: everything has been said already
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// invalid marks wrong usage or invalid input.
func invalid(err error) error { return &exitError{code: exitInvalid, err: err} }

// refused marks a gate that said no; the reasons have been printed.
func refused(err error) error { return &exitError{code: exitRefused, err: err} }

// streams are the standard streams of one run.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// env is what every command shares.
type env struct {
	streams
	version string
	output  string // "text" or "json"
	data    string // data directory of the running system
	token   string // of a reader; empty: see bearer
}

// Main runs the command line and returns the exit code. args do not hold the
// program's name. Ctrl-C and SIGTERM arrive as the end of ctx.
func Main(ctx context.Context, version string, args []string, in io.Reader, out, errOut io.Writer) int {
	e := &env{streams: streams{in: in, out: out, err: errOut}, version: version}
	root := e.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		for line := range strings.Lines(text) {
			fmt.Fprintln(errOut, strings.TrimRight(line, "\n"))
		}
	}
	var coded *exitError
	var problems api.Problems
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &problems):
		return exitInvalid
	}
	return exitFailed
}

func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kongdao",
		Short: "a gateway for serverless functions, and what keeps them stable",
		Long: `KongDao measures what one pod can take, plans how many pods each zone needs,
holds traffic to that, logs every call, tells on-call when it cannot, and
empties a zone without losing a request.

Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input, 3 a gate said no.`,
		Example: `  kongdao demo                         the whole loop, once, on this machine
  kongdao up --resources resources/    the whole system on this machine
  kongdao check resources/             is everything written there right?
  kongdao explain GET http://api.example.com/recommend/feed`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.in)
	root.SetOut(e.out)
	root.SetErr(e.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return invalid(fmt.Errorf("%s: %w; see %s --help", cmd.CommandPath(), err, cmd.CommandPath()))
	})
	root.PersistentFlags().StringVarP(&e.output, "output", "o", "text", "text or json")
	root.PersistentFlags().StringVar(&e.data, "data", defaultData(), "data directory of the system")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if e.output != "text" && e.output != "json" {
			return invalid(fmt.Errorf("-o %s: want text or json", e.output))
		}
		return nil
	}
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		e.upCommand(), e.serveCommand(), e.demoCommand(), e.checkCommand(), e.explainCommand(), e.planCommand(),
		e.fnCommand(), e.logsCommand(), e.callsCommand(), e.loadCommand(), e.capacityCommand(), e.zoneCommand(), e.switchCommand(), e.gatewayCommand(), e.collectorCommand(),
		e.alertCommand(), e.dashboardsCommand(), e.doctorCommand(), e.versionCommand(),
		e.zoneProcessCommand(),
	)
	return root
}

// defaultData is $KONGDAO_DATA, or the configuration's default.
func defaultData() string {
	if dir := os.Getenv("KONGDAO_DATA"); dir != "" {
		return dir
	}
	return config.Default().DataDir
}

// usage makes wrong arguments exit with 2 and say where help is.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return invalid(fmt.Errorf("%s: %w; see %s --help", cmd.CommandPath(), err, cmd.CommandPath()))
		}
		return nil
	}
}

// group is a command that only holds others. An unknown word after it is wrong
// usage, not a request for help.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// print writes v as JSON, or what text writes.
func (e *env) print(v any, text func(w io.Writer)) error {
	if e.output == "json" {
		enc := json.NewEncoder(e.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	text(e.out)
	return nil
}
