package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/xds"
)

func (e *env) gatewayCommand() *cobra.Command {
	return group("gateway", "gateways: what each has, which group waits", e.gatewayListCommand(), e.gatewayPromoteCommand())
}

func (e *env) gatewayListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "connected gateways with group, zone, version and what they refuse",
		Long: `List shows for each connected gateway the version that it has accepted whole and
the newest that there is for its group, when it accepted something last, for how
long it has lagged behind, and what it refuses. Below it says what that is, with the
functions that it is of and the reason; which revisions a gateway is warming, and
what is in quarantine; which gateways take no configuration any more, and over what;
which ones started while the control plane was away, and when they were served from
their own disk; and which groups wait for canary groups, and for what. gRPC clients
that call pods without a gateway are listed last, with what they do not get.`,
		Example: "  kongdao gateway list\n  kongdao gateway list -o json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			var g app.Gateways
			if err := c.do(cmd.Context(), http.MethodGet, "/gateways", nil, nil, &g); err != nil {
				return err
			}
			return e.print(g, func(w io.Writer) { writeGateways(w, g) })
		},
	}
}

func writeGateways(w io.Writer, g app.Gateways) {
	if len(g.Gateways) == 0 {
		fmt.Fprintln(w, "no gateway is connected")
	} else {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NODE\tGROUP\tZONE\tENVOY\tVERSION\tLAST ACK\tLAG\tREFUSES\tCONNECTED")
		for _, s := range g.Gateways {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", s.Node, s.Group, dash(s.Zone), dash(s.Build),
				versionOf(s), since(s.LastAck), lag(s), len(s.Rejected), since(s.Since))
		}
		_ = t.Flush()
	}
	writeSpecial(w, g.Gateways)
	for _, s := range g.Gateways {
		writeWrongs(w, s)
	}
	writeQuarantine(w, g.Gateways)
	writeCallers(w, g.Callers)
	if r := g.Rollout; r != nil {
		fmt.Fprintf(w, "\nnew resources of %s are with %s alone; %s: %s\n",
			r.Since.Local().Format(time.TimeOnly), strings.Join(r.Canary, ", "), waitOf(r), r.Reason)
	}
}

// writeSpecial says what is out of the ordinary with gateways.
func writeSpecial(w io.Writer, all []xds.GatewayState) {
	for _, s := range all {
		if s.Faulty {
			fmt.Fprintf(w, "\n%s takes no configuration since %s; it has not answered for %s\n",
				s.Node, s.Silent.Local().Format(time.TimeOnly), cmp.Or(strings.Join(s.Waiting, ", "), "what was removed"))
		}
		if d := s.Disk; d != nil {
			fmt.Fprintf(w, "\n%s was served from its own disk from %s to %s: it had started while the control plane was away\n",
				s.Node, d.Since.Local().Format(time.DateTime), d.Until.Local().Format(time.TimeOnly))
		}
	}
}

func waitOf(r *xds.RolloutState) string {
	if r.Held {
		return strings.Join(r.Others, ", ") + " held back"
	}
	return strings.Join(r.Others, ", ") + " will follow"
}

// versionOf is the version that a gateway has, with the newest where that is
// another one.
func versionOf(s xds.GatewayState) string {
	if s.Version == s.Newest {
		return fmt.Sprint(s.Version)
	}
	return fmt.Sprintf("%d of %d", s.Version, s.Newest)
}

func lag(s xds.GatewayState) string {
	switch {
	case s.Lag == 0:
		return "none"
	case s.Faulty:
		return fmt.Sprintf("%.1fs, silent", s.Lag)
	}
	return fmt.Sprintf("%.1fs", s.Lag)
}

func since(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (e *env) gatewayPromoteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "promote", Short: "give new resources that wait in canary groups to all groups",
		Long:    "Promote does not ask the canary groups: it is for those who know better. Without anything that waits it exits with 3.",
		Example: "  kongdao gateway promote",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			return c.do(cmd.Context(), http.MethodPost, "/gateways/promote", nil, nil, nil)
		},
	}
}
