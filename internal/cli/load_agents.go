package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/crew"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// loadTokenVariable holds the token of a run with agents.
const loadTokenVariable = "KONGDAO_LOAD_TOKEN"

// tokenOf reads the token from a file, or else from the environment.
func tokenOf(file string) (api.Secret, error) {
	if file == "" {
		return api.Secret(os.Getenv(loadTokenVariable)), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", invalid(fmt.Errorf("--token-file: %w", err))
	}
	return api.Secret(strings.TrimSpace(string(b))), nil
}

// crewFlags are those of load run for several generators.
type crewFlags struct {
	agents                              int
	listen, tokenFile, certificate, key string
	wait, maxOffset                     time.Duration
}

func (f *crewFlags) flags(cmd *cobra.Command) {
	d := crew.DefaultConfig()
	fl := cmd.Flags()
	fl.IntVar(&f.agents, "agents", 0, "share the run among so many agents, see load agent; 0: this process sends alone")
	fl.StringVar(&f.listen, "listen", fmt.Sprintf("127.0.0.1:%d", crew.Port), "where agents join")
	fl.StringVar(&f.tokenFile, "token-file", "", "file with the token that agents have to know (default: $"+loadTokenVariable+")")
	fl.StringVar(&f.certificate, "tls-cert", "", "certificate (PEM) for agents that join with --tls")
	fl.StringVar(&f.key, "tls-key", "", "its key (PEM)")
	fl.DurationVar(&f.wait, "wait-agents", d.Wait, "how long agents may take to join")
	fl.DurationVar(&f.maxOffset, "max-clock-offset", d.MaxOffset, "by which an agent's clock may be off")
}

func (f *crewFlags) config() (c crew.Config, err error) {
	c = crew.DefaultConfig()
	c.Listen, c.Agents, c.Wait, c.MaxOffset = f.listen, f.agents, f.wait, f.maxOffset
	if c.Token, err = tokenOf(f.tokenFile); err != nil {
		return c, err
	}
	if f.certificate != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return c, invalid(fmt.Errorf("--tls-cert: %w", err))
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	}
	if err := c.Validate(); err != nil {
		return c, invalid(err)
	}
	return c, nil
}

// runCrew carries the scenario out with agents.
func (e *env) runCrew(ctx context.Context, f crewFlags, s *api.Scenario, o loadtest.Options) (report.Result, error) {
	c, err := f.config()
	if err != nil {
		return report.Result{}, err
	}
	coordinator, err := crew.New(c, e.crewLog())
	if err != nil {
		return report.Result{}, err
	}
	fmt.Fprintf(e.err, "waiting for %d agents on %s\n", f.agents, coordinator.Addr())
	r, err := coordinator.Run(ctx, s.Spec, o)
	if errors.Is(err, crew.ErrRefused) {
		return r, invalid(err)
	}
	return r, err
}

func (e *env) crewLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func (e *env) loadAgentCommand() *cobra.Command {
	c := crew.DefaultAgentConfig()
	var config, tokenFile, ca, files string
	var allow []string
	var encrypted bool
	cmd := &cobra.Command{
		Use:   "agent --join HOST:PORT",
		Short: "send a share of a stress test that load run --agents coordinates",
		Long: `Agent joins the run of kongdao load run --agents N, sends its share of the
requests and exits. It tries until the coordinator is there.

It obeys its own bounds, not the coordinator's: a scenario whose targets are
neither this machine nor on its own list (--allow, or loadtest.allow in the
configuration) is refused, and rates are bounded for its own share. Both sides
prove to know the token of --token-file or $` + loadTokenVariable + ` without sending it.
Without --tls what follows is readable by whoever listens.

Ctrl-C stops the whole run.`,
		Example: "  KONGDAO_LOAD_TOKEN=… kongdao load agent --join coordinator:7070 --allow shop.example:443",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Limits, err = e.limits(cmd, config, allow); err != nil {
				return err
			}
			if c.Token, err = tokenOf(tokenFile); err != nil {
				return err
			}
			if encrypted || ca != "" {
				if c.TLS, err = trusting(ca); err != nil {
					return err
				}
			}
			if files != "" {
				c.Files = scenario.Files{Dir: files, Env: os.LookupEnv}
			}
			c.Progress = e.newLiveView("agent").show
			a, err := crew.NewAgent(c, e.crewLog())
			if err != nil {
				return invalid(err)
			}
			return a.Run(cmd.Context())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&c.Coordinator, "join", "", "host:port of the coordinator")
	fl.StringVar(&c.Name, "name", "", "of this agent (default: the machine's)")
	fl.StringVar(&tokenFile, "token-file", "", "file with the token (default: $"+loadTokenVariable+")")
	fl.StringVar(&files, "files", "", "let scenarios read files, relative to this folder, and ${env:NAME} (default: they may read nothing of this machine)")
	fl.StringVar(&ca, "tls-ca", "", "certificates (PEM) that the coordinator's must be signed by; implies --tls")
	fl.BoolVar(&encrypted, "tls", false, "join with TLS")
	fl.DurationVar(&c.Wait, "wait", c.Wait, "how long to try to reach the coordinator")
	fl.StringVarP(&config, "config", "c", "", "configuration file, whose bounds of stress tests hold")
	fl.StringSliceVar(&allow, "allow", nil, "hosts, host:port or CIDRs that may be targets besides this machine")
	maxBytesFlag(cmd)
	return cmd
}

func trusting(ca string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if ca == "" {
		return c, nil
	}
	b, err := os.ReadFile(ca)
	if err != nil {
		return nil, invalid(fmt.Errorf("--tls-ca: %w", err))
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(b) {
		return nil, invalid(fmt.Errorf("--tls-ca: %s holds no certificate", ca))
	}
	return c, nil
}

func (e *env) loadManifestsCommand() *cobra.Command {
	var m crew.Manifests
	cmd := &cobra.Command{
		Use:   "manifests FILE",
		Short: "print a stress test with agents as Jobs for Kubernetes",
		Long: `Manifests prints a ConfigMap with the Scenario in FILE, a Job that coordinates,
a Service by which agents find it, and a Job with a pod for each agent. The
token is in a Secret, which the comment at the top says how to create.`,
		Example: "  kongdao load manifests feed-3000.yaml --agents 5 --image registry.example/kongdao:1.0 --allow feed.shop.svc:8080 | kubectl apply -f -",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := readScenario(args[0])
			if err != nil {
				return err
			}
			text, err := os.ReadFile(args[0])
			if err != nil {
				return invalid(err)
			}
			m.Name, m.Scenario = s.Name, string(text)
			if err := m.Write(e.out); err != nil {
				return invalid(err)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&m.Agents, "agents", 2, "how many pods share the run")
	fl.StringVar(&m.Image, "image", "kongdao", "image whose entry point is kongdao")
	fl.StringVar(&m.Namespace, "namespace", "", "of all objects (default: that of kubectl)")
	fl.StringSliceVar(&m.Allow, "allow", nil, "hosts, host:port or CIDRs that may be targets")
	fl.StringVar(&m.CPU, "cpu", "2", "cores of each agent")
	fl.StringVar(&m.Memory, "memory", "1Gi", "memory of each agent")
	return cmd
}
