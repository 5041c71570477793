package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
)

// systemFlags are the flags of commands that run the system.
type systemFlags struct {
	config    string
	resources string
	group     string
}

func (f *systemFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file (kongdao.yaml); every key has a default")
	cmd.Flags().StringVar(&f.resources, "resources", "", "folder of resources (overrides the configuration)")
}

// load reads the configuration; flags that were given win over it.
func (e *env) load(cmd *cobra.Command, f systemFlags) (config.Config, error) {
	cfg := config.Default()
	if f.config != "" {
		var problems error
		if cfg, problems = loadConfig(f.config); problems != nil {
			return cfg, problems
		}
	}
	if cmd.Flags().Changed("data") || f.config == "" {
		cfg.DataDir = e.data
	}
	if f.group != "" {
		cfg.Envoy.Group = f.group
	}
	if f.resources != "" {
		cfg.ResourcesDir = f.resources
	}
	return cfg, nil
}

func loadConfig(file string) (config.Config, error) {
	cfg, problems := config.Load(file)
	if len(problems) > 0 {
		return cfg, problems
	}
	return cfg, nil
}

func (e *env) upCommand() *cobra.Command {
	var flags systemFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "the whole system on this machine",
		Long: `Up runs the control plane, Envoy, the collector, ClickHouse, alerting and the
API on this machine, until Ctrl-C. DATA/run/addresses.json names every address
once all of it is ready.`,
		Example: "  kongdao up --resources resources/\n  kongdao up -c kongdao.yaml --data /var/lib/kongdao",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.runSystem(cmd, flags, nil)
		},
	}
	flags.add(cmd)
	return cmd
}

func (e *env) serveCommand() *cobra.Command {
	var flags systemFlags
	var names []string
	for _, p := range app.Parts() {
		names = append(names, string(p))
	}
	cmd := &cobra.Command{
		Use:   "serve PART…",
		Short: "chosen parts of the system",
		Long: `Serve runs chosen parts of the system, for many machines: ` + strings.Join(names, ", ") + `.
Parts find each other by the addresses in the configuration.`,
		Example:   "  kongdao serve xds api -c kongdao.yaml\n  kongdao serve gateway collector -c kongdao.yaml --group back-office",
		ValidArgs: names,
		Args:      usage(cobra.MatchAll(cobra.MinimumNArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, args []string) error {
			parts := make([]app.Part, len(args))
			for i, a := range args {
				parts[i] = app.Part(a)
			}
			return e.runSystem(cmd, flags, parts)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&flags.group, "group", "", "GatewayGroup of the gateway (overrides the configuration)")
	return cmd
}

func (e *env) runSystem(cmd *cobra.Command, flags systemFlags, parts []app.Part) error {
	cfg, err := e.load(cmd, flags)
	if err != nil {
		return err
	}
	log := e.logger(cfg)
	ready := func(s *app.System) {
		fmt.Fprintf(e.err, "ready: %saddresses in %s\n", where(s.Addresses()), app.AddressesFile(cfg.DataDir))
	}
	return located(flags.config, app.Run(cmd.Context(), cfg, log, ready, parts...))
}

// located puts the file and line before an error that is about a field of the
// configuration file.
func located(file string, err error) error {
	var field *config.FieldError
	if file == "" || !errors.As(err, &field) {
		return err
	}
	return fmt.Errorf("%s: %w", config.Locate(file, field.Field), err)
}

// logger writes to standard error in the form that the configuration asks for.
func (e *env) logger(cfg config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // validated
	options := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(e.err, options))
	}
	return slog.New(slog.NewTextHandler(e.err, options))
}

// where are the addresses that people want first, of those that there are.
func where(a app.Addresses) (text string) {
	for _, x := range []struct{ name, address string }{{"gateway", a.Gateway}, {"api", a.API}} {
		if x.address != "" {
			text += x.name + " http://" + x.address + ", "
		}
	}
	return text
}
