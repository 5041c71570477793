package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/envoy"
)

// finding is what doctor says of one thing.
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Found  string `json:"found"`            // what is used, and from where; or what is wrong
	Remedy string `json:"remedy,omitempty"` // how to mend it
}

func (e *env) doctorCommand() *cobra.Command {
	var flags systemFlags
	cmd := &cobra.Command{
		Use: "doctor", Short: "what is installed, reachable, wrong, and how to mend it",
		Long:    "Doctor looks at what the system needs on this machine and, where one runs, at the running system. Exit code 1 when something is wrong.",
		Example: "  kongdao doctor\n  kongdao doctor -c kongdao.yaml -o json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.load(cmd, flags)
			if err != nil {
				return err
			}
			findings := e.examine(cmd.Context(), cfg)
			if err := e.print(findings, func(w io.Writer) { writeFindings(w, findings) }); err != nil {
				return err
			}
			for _, f := range findings {
				if !f.OK {
					return &exitError{code: exitFailed}
				}
			}
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}

func (e *env) examine(ctx context.Context, cfg config.Config) []finding {
	found := []finding{checkEnvoy(cfg), checkClickHouse(ctx, cfg), checkDataDir(cfg.DataDir)}
	found = append(found, checkCertificates(cfg)...)
	c, err := e.connect()
	if err != nil {
		found = append(found, checkPort("gateway port", cfg.Listen.Gateway), checkPort("api port", cfg.Listen.API))
		running := finding{Name: "running system", OK: true, Found: "none in " + cfg.DataDir}
		return append(found, running)
	}
	return append(found, c.examine(ctx)...)
}

func writeFindings(w io.Writer, findings []finding) {
	for _, f := range findings {
		mark := "ok   "
		if !f.OK {
			mark = "wrong"
		}
		fmt.Fprintf(w, "%s  %-16s %s\n", mark, f.Name, f.Found)
		if f.Remedy != "" {
			fmt.Fprintf(w, "       %-16s → %s\n", "", f.Remedy)
		}
	}
}

func checkEnvoy(cfg config.Config) finding {
	b, err := envoy.Find(cfg.Envoy.Path)
	if err != nil {
		return finding{Name: "envoy", Found: err.Error(), Remedy: "make deps, or install Envoy 1.40 on PATH"}
	}
	return finding{Name: "envoy", OK: true, Found: fmt.Sprintf("%s, %s (from %s)", b.Version, b.Path, b.Origin)}
}

func checkClickHouse(ctx context.Context, cfg config.Config) finding {
	f := finding{Name: "clickhouse"}
	if cfg.ClickHouse.DSN != "" {
		return checkServer(ctx, cfg, f)
	}
	path, err := cfg.ClickHouse.Library, error(nil)
	if path == "" {
		path, err = embedded.FindLibrary()
	}
	if err != nil {
		f.Found, f.Remedy = err.Error(), "make deps, or set clickhouse.dsn to a ClickHouse server"
		return f
	}
	version, err := embedded.Version(ctx, path)
	if err != nil {
		f.Found, f.Remedy = err.Error(), "make deps on a glibc Linux on amd64, or set clickhouse.dsn to a ClickHouse server"
		return f
	}
	f.OK = true
	f.Found = fmt.Sprintf("embedded engine, library %s, %s; for one machine: for everything else set clickhouse.dsn to a server", version, path)
	return f
}

func checkServer(ctx context.Context, cfg config.Config, f finding) finding {
	f.Remedy = "check clickhouse.dsn, and that the server runs and may be reached from here"
	dsn, err := registry.Resolve(cfg.ClickHouse.DSN)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := clickhouse.Open(ctx, o)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	defer c.Close()
	var version string
	if err := c.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		f.Found = err.Error()
		return f
	}
	return finding{Name: f.Name, OK: true, Found: fmt.Sprintf("server %s, %s", version, o)}
}

func checkDataDir(dir string) finding {
	f := finding{Name: "data directory"}
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o700)
	}
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(abs, ".doctor-*"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		f.Found, f.Remedy = err.Error(), "make it writable, or choose another with --data"
		return f
	}
	return finding{Name: f.Name, OK: true, Found: abs}
}

func checkPort(name, address string) finding {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return finding{Name: name, Found: err.Error(), Remedy: "free the port, or choose another in the configuration"}
	}
	_ = l.Close()
	return finding{Name: name, OK: true, Found: address + " is free"}
}

// examineCalls asks ClickHouse through the running system.
func (c *client) examineCalls(ctx context.Context) finding {
	if err := c.do(ctx, http.MethodGet, "/calls/health", nil, nil, nil); err != nil {
		return finding{Name: "call log", Found: err.Error(), Remedy: "see the log of the system and clickhouse/engine.log in its data directory"}
	}
	return finding{Name: "call log", OK: true, Found: "clickhouse " + c.addresses.ClickHouse + " answers"}
}

// examine asks the running system.
func (c *client) examine(ctx context.Context) []finding {
	running := finding{Name: "running system", OK: true, Found: "api http://" + c.addresses.API}
	var resources app.Resources
	if err := c.do(ctx, http.MethodGet, "/resources", nil, nil, &resources); err != nil {
		running.OK, running.Found, running.Remedy = false, err.Error(), "restart it; its log says why it does not answer"
		return []finding{running}
	}
	found := []finding{running}
	for _, p := range resources.Problems {
		found = append(found, finding{Name: "resource", Found: p.String(), Remedy: "mend the file; what was in force before still is"})
	}
	var state xds.State
	if err := c.do(ctx, http.MethodGet, "/state", nil, nil, &state); err != nil {
		return append(found, finding{Name: "control plane", Found: err.Error()})
	}
	found = append(found, c.examineCalls(ctx))
	for _, g := range state.Gateways {
		f := finding{Name: "gateway", OK: !g.Faulty, Found: g.Node}
		if g.Faulty {
			f.Found += " does not answer updates since " + g.Silent.Format(time.TimeOnly) + ": " + strings.Join(g.Waiting, ", ")
			f.Remedy = "restart its Envoy"
		}
		found = append(found, f)
	}
	found = append(found, certificatesOf(state)...)
	found = append(found, examineCanary(state)...)
	for _, r := range state.Rejections {
		found = append(found, finding{Name: "rejected", Found: fmt.Sprint(r), Remedy: "mend the resource that is named"})
	}
	return found
}

// examineCanary tells what is in quarantine, and whether changes are tried at all.
func examineCanary(state xds.State) (found []finding) {
	switch state.Canary {
	case "up":
		found = append(found, finding{Name: "canary", OK: true, Found: "changes are tried on an Envoy of their own"})
	case "away", "missing":
		found = append(found, finding{
			Name: "canary", Found: "it is " + state.Canary + ": changes reach the gateways without being tried",
			Remedy: "see canary/envoy.log in the data directory; make deps installs Envoy; envoy.canary: false does without",
		})
	}
	for _, q := range state.Quarantined {
		found = append(found, finding{
			Name: "quarantined", Found: fmt.Sprintf("%s (%s): %s", q.Name, q.Source, q.Reason),
			Remedy: "mend it; it is served again at once",
		})
	}
	return found
}
