package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// claimMark is something that somebody did.
type claimMark struct {
	By struct {
		Name string `json:"name"`
	} `json:"by"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	ID    string    `json:"id,omitempty"`
	Via   string    `json:"via,omitempty"`
}

// claimMatter is what people were told of, as the API says it.
type claimMatter struct {
	ID       string            `json:"id"`
	Key      string            `json:"key"`
	Alert    string            `json:"alert"`
	Severity string            `json:"severity,omitempty"`
	Labels   map[string]string `json:"labels"`
	Channel  string            `json:"channel"`
	Alerts   int               `json:"alerts"`
	Since    time.Time         `json:"since"`
	Ended    *time.Time        `json:"ended,omitempty"`
	Claimed  *claimMark        `json:"claimed,omitempty"`
	Silenced *claimMark        `json:"silenced,omitempty"`
	Steps    int               `json:"steps,omitempty"`
	Next     *time.Time        `json:"next,omitempty"`
}

type claimMatters struct {
	Claims []claimMatter `json:"claims"`
}

func (e *env) alertClaimsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "claims", Short: "who takes care of what",
		Long:    "Claims lists what people were told of and has not ended: who claimed or silenced it, and when the next step upwards is due.",
		Example: "  kongdao alert claims\n  kongdao alert claims --all -o json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := e.claims(cmd, all)
			if err != nil {
				return err
			}
			return e.print(list, list.text)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also what ended within a day")
	return cmd
}

func (e *env) claims(cmd *cobra.Command, all bool) (list claimMatters, err error) {
	c, err := e.connect()
	if err != nil {
		return list, err
	}
	query := url.Values{}
	if all {
		query.Set("all", "true")
	}
	return list, c.do(cmd.Context(), http.MethodGet, "/alerts/claims", query, nil, &list)
}

func (l claimMatters) text(w io.Writer) {
	if len(l.Claims) == 0 {
		fmt.Fprintln(w, "nobody was told of anything that has not ended")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tALERT\tSEVERITY\tCHANNEL\tFOR\tSTATE\tNEXT STEP")
	for _, m := range l.Claims {
		next := "-"
		if m.Next != nil {
			next = "in " + max(time.Until(*m.Next), 0).Round(time.Second).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%v\t%s\t%s\n", m.ID, m.Alert, m.Severity, m.Channel, time.Since(m.Since).Round(time.Second), m.state(), next)
	}
	_ = t.Flush()
}

// state is what was done about it, in one line.
func (m claimMatter) state() string {
	var parts []string
	if m.Ended != nil {
		parts = append(parts, "ended "+m.Ended.Local().Format("15:04"))
	}
	if m.Claimed != nil {
		parts = append(parts, "claimed by "+m.Claimed.By.Name+" until "+m.Claimed.Until.Local().Format("15:04"))
	} else if m.Ended == nil {
		parts = append(parts, "unclaimed")
	}
	if m.Silenced != nil {
		parts = append(parts, "silenced by "+m.Silenced.By.Name+" until "+m.Silenced.Until.Local().Format("15:04"))
	}
	if m.Steps > 0 {
		parts = append(parts, count(m.Steps, "step")+" up")
	}
	return strings.Join(parts, ", ")
}

// Commands that answer to a message.
func (e *env) alertClaimCommand() *cobra.Command {
	return e.answerCommand("claim", "take care of something",
		"Claim says that you take care of what messages call #ID: nobody is escalated to until it ends or the claim does. It silences nothing.", true)
}

func (e *env) alertReleaseCommand() *cobra.Command {
	return e.answerCommand("release", "give a claim back", "Release ends a claim: if nobody claims it anew, it goes up step by step.", false)
}

func (e *env) alertEscalateCommand() *cobra.Command {
	return e.answerCommand("escalate", "tell the next one now", "Escalate takes the next step of alerting.escalation.to at once.", false)
}

func (e *env) answerCommand(action, short, long string, lasts bool) *cobra.Command {
	var by string
	var length time.Duration
	cmd := &cobra.Command{
		Use: action + " ID", Short: short, Long: long,
		Example:           "  kongdao alert " + action + " A3F2\n  kongdao alert " + action + " '#A3F2' --by Ann",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: e.completeClaims,
		RunE: func(cmd *cobra.Command, args []string) error {
			if length < 0 || length > 7*24*time.Hour {
				return invalid(fmt.Errorf("--for %s: want up to 168h", length))
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			in := map[string]any{"action": action, "by": by, "seconds": int(length / time.Second)}
			var m claimMatter
			path := "/alerts/claims/" + url.PathEscape(strings.TrimPrefix(args[0], "#"))
			if err := c.do(cmd.Context(), http.MethodPost, path, nil, in, &m); err != nil {
				return err
			}
			return e.print(m, func(w io.Writer) { fmt.Fprintf(w, "%s %s: %s\n", m.ID, m.Alert, m.state()) })
		},
	}
	cmd.Flags().StringVar(&by, "by", whoever(), "whose answer it is")
	if lasts {
		cmd.Flags().DurationVar(&length, "for", 0, "how long (default: 4h)")
	}
	return cmd
}

func (e *env) completeClaims(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := e.claims(cmd, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, m := range list.Claims {
		names = append(names, strings.TrimPrefix(m.ID, "#")+"\t"+m.Alert)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
