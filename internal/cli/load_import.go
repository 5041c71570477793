package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/imports"
)

// importers are what load import reads, by the names of their formats.
var importers = map[string]func(io.Reader) (*imports.Import, error){
	"vegeta": imports.Vegeta, "curl": imports.Curl, "har": imports.HAR,
}

func (e *env) loadImportCommand() *cobra.Command {
	var from, name, out string
	var rate float64
	length := api.Duration(0)
	cmd := &cobra.Command{
		Use: "import FILE", Short: "make a scenario of vegeta targets, curl lines or a HAR archive",
		Long: `Import writes a Scenario for what another tool has: vegeta's target files (http
and json), curl command lines as browsers copy them ("copy as cURL", bash), and
HAR archives. The requests of an archive become steps, the others targets.

Secrets are not copied: headers such as authorization and cookie, parameters and
fields with such names become ${env:NAME}, and standard error says which variables
to set. Look at the scenario before it is carried out: what no name tells is copied.

FILE may be - for standard input. Exit code 2 when FILE cannot be read.`,
		Example: `  kongdao load import --from curl requests.sh --rate 50 > shop.yaml
  kongdao load import --from har session.har --duration 5m --out shop.yaml
  kongdao load import --from vegeta targets.txt --out targets.yaml && kongdao load check targets.yaml`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			read, ok := importers[from]
			if !ok {
				return invalid(fmt.Errorf("--from: is %q, want vegeta, curl or har", from))
			}
			if rate <= 0 || length <= 0 {
				return invalid(fmt.Errorf("--rate and --duration: want a rate above 0 and a duration such as 1m"))
			}
			i, err := e.importFile(args[0], read)
			if err != nil {
				return err
			}
			if name == "" {
				name = imports.Base(args[0])
			}
			text, err := i.YAML(imports.Plan{Name: name, Rate: rate, Duration: length.String()})
			if err != nil {
				return invalid(fmt.Errorf("%s: %w", args[0], err))
			}
			for _, w := range i.Warnings {
				fmt.Fprintln(e.err, "warning: "+w)
			}
			return e.writeImported(out, text)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&from, "from", "", "what FILE is: vegeta, curl or har")
	fl.StringVar(&name, "name", "", "name of the scenario (default: the file's)")
	fl.StringVar(&out, "out", "", "write the scenario to this new file (default: standard output)")
	fl.Float64Var(&rate, "rate", 10, "requests a second, of an archive whole sessions")
	fl.Var(&durationFlag{&length}, "duration", "of the scenario")
	_ = length.UnmarshalText([]byte("1m"))
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"vegeta", "curl", "har"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (e *env) importFile(name string, read func(io.Reader) (*imports.Import, error)) (*imports.Import, error) {
	in, where := e.in, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, invalid(err)
		}
		defer f.Close()
		in, where = f, name
	}
	i, err := read(in)
	if err != nil {
		return nil, invalid(fmt.Errorf("%s:%w", where, err))
	}
	return i, nil
}

// writeImported never writes over a file.
func (e *env) writeImported(name string, text []byte) error {
	if name == "" {
		_, err := e.out.Write(text)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return invalid(err)
	}
	if _, err = f.Write(text); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// durationFlag is an api.Duration on the command line.
type durationFlag struct{ *api.Duration }

func (d *durationFlag) Set(text string) error { return d.UnmarshalText([]byte(text)) }

func (*durationFlag) Type() string { return "duration" }
