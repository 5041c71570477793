package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/demo"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// zoneProcess is the hidden command that one zone of the demo fleet runs as.
const zoneProcess = "demo-zone"

func (e *env) demoCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "the whole loop, once, on this machine",
		Long: `Demo brings up the real system on a demo fleet: three zones as processes of
their own, 22 functions in 14 scenarios. It measures what one pod can take,
plans, enforces, kills a zone, and shows what on-call reads in DingTalk, whose
place a strict local stand-in takes.

Exit code 0 when every step showed what it must, 1 otherwise. Without --data
everything is kept in a new folder below the temporary one.`,
		Example: "  kongdao demo\n  kongdao demo --keep --data /tmp/kongdao",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := e.demoOptions(cmd, keep)
			if err != nil {
				return err
			}
			report, err := demo.Run(cmd.Context(), options)
			if e.output == "json" {
				err = errors.Join(err, e.print(report, nil))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave it running after the walk, until Ctrl-C")
	return cmd
}

func (e *env) demoOptions(cmd *cobra.Command, keep bool) (demo.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return demo.Options{}, err
	}
	cfg := demoConfig()
	cfg.DataDir = e.data
	if !cmd.Flags().Changed("data") {
		if cfg.DataDir, err = os.MkdirTemp("", "kongdao-demo-"); err != nil {
			return demo.Options{}, fmt.Errorf("data directory: %w", err)
		}
	}
	if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
		return demo.Options{}, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return demo.Options{}, fmt.Errorf("data directory: %w", err)
	}
	logFile, err := os.OpenFile(filepath.Join(cfg.DataDir, "kongdao.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return demo.Options{}, fmt.Errorf("data directory: %w", err)
	}
	out := e.out
	if e.output == "json" {
		out = e.err
	}
	fmt.Fprintf(out, "KongDao %s: the loop, once. Data and log in %s\n", e.version, cfg.DataDir)
	return demo.Options{
		Config: cfg, Version: e.version, ZoneCommand: []string{self, zoneProcess}, Out: out, Stay: keep,
		Log: slog.New(slog.NewTextHandler(logFile, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, nil
}

// demoConfig is the ordinary configuration on free ports, with alerting as quick
// as a walk of two minutes asks for.
func demoConfig() config.Config {
	cfg := config.Default()
	cfg.Listen.Gateway, cfg.Listen.API = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Alerting.ScrapeInterval = api.Duration(time.Second)
	cfg.Alerting.EvaluationInterval = api.Duration(time.Second)
	cfg.Envoy.Concurrency = 2
	return cfg
}

func (e *env) zoneProcessCommand() *cobra.Command {
	return &cobra.Command{
		Use: zoneProcess, Hidden: true, Short: "one zone of the demo fleet", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fleet.ServeZone(cmd.Context(), e.in, e.out)
		},
	}
}
