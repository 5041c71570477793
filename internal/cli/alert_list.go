package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) alertListCommand() *cobra.Command {
	var pick selection
	var receiver string
	var groups, active, watch bool
	cmd := &cobra.Command{
		Use: "list [MATCHER…]", Short: "what fires now",
		Long: `List prints the alerts that fire, pages first, also those that are silenced or
inhibited. Matchers are those of amtool: label=value, label!=value, label=~regex,
label!~regex; a first word without an operator is the name of an alert. What always
fires (severity none, the dead man's switch) is there only when its severity or name is
asked for.

With --groups it prints what each message tells of: alerts that are told together,
under the mark that their messages carry, and to whom.

With --watch it goes on until Ctrl-C, and prints what begins to fire, ends, or is
silenced; with -o json a line each.`,
		Example: `  kongdao alert list
  kongdao alert list ZoneDown zone=~'zb-.*'
  kongdao alert list --function recommend-feed severity=page -o json
  kongdao alert list --groups
  kongdao alert list --watch`,
		ValidArgsFunction: e.completeMatchers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := pick.parse(args); err != nil {
				return err
			}
			if watch && groups {
				return invalid(fmt.Errorf("--watch prints alerts, not --groups"))
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			get := func(ctx context.Context) (models.GettableAlerts, error) {
				alerts, err := c.alerts(ctx, &pick, receiver, active)
				if !pick.names("alertname", "severity") {
					alerts = slices.DeleteFunc(alerts, forNobody)
				}
				return alerts, err
			}
			switch {
			case watch:
				return e.watchAlerts(cmd.Context(), get)
			case groups:
				return e.listGroups(cmd.Context(), c, get)
			}
			alerts, err := get(cmd.Context())
			if err != nil {
				return err
			}
			return e.print(alerts, func(w io.Writer) { writeAlerts(w, alerts) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&pick.function, "function", "", "of this function alone")
	f.StringVar(&receiver, "receiver", "", "that go to receivers whose name matches this regular expression")
	f.BoolVar(&active, "active", false, "without what is silenced or inhibited")
	f.BoolVar(&groups, "groups", false, "by the message that tells of them")
	f.BoolVarP(&watch, "watch", "w", false, "go on until Ctrl-C, with what changes")
	e.completeFunctionFlag(cmd)
	return cmd
}

// alerts are those that fire, in the order in which they matter. A nil selection is all.
func (c *client) alerts(ctx context.Context, pick *selection, receiver string, active bool) (models.GettableAlerts, error) {
	query := pick.filter()
	if receiver != "" {
		query.Set("receiver", receiver)
	}
	if active {
		query.Set("silenced", "false")
		query.Set("inhibited", "false")
	}
	alerts := models.GettableAlerts{}
	if err := c.alertmanager(ctx, http.MethodGet, "/alerts", query, nil, &alerts); err != nil {
		return nil, err
	}
	slices.SortStableFunc(alerts, func(a, b *models.GettableAlert) int {
		return cmp.Or(cmp.Compare(worth(a), worth(b)), cmp.Compare(a.Labels["alertname"], b.Labels["alertname"]),
			time.Time(*a.StartsAt).Compare(time.Time(*b.StartsAt)), cmp.Compare(*a.Fingerprint, *b.Fingerprint))
	})
	return alerts, nil
}

// forNobody is an alert that always fires, so that somebody notices when it does not.
func forNobody(a *models.GettableAlert) bool { return a.Labels["severity"] == "none" }

// worth orders severities, the worst first.
func worth(a *models.GettableAlert) int {
	order := []string{"page", "critical", "ticket", "warning", "info"}
	if i := slices.Index(order, a.Labels["severity"]); i >= 0 {
		return i
	}
	return len(order)
}

func writeAlerts(w io.Writer, alerts models.GettableAlerts) {
	if len(alerts) == 0 {
		fmt.Fprintln(w, "nothing fires")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ALERT\tSEVERITY\tFOR\tSTATE\tLABELS\tSUMMARY")
	for _, a := range alerts {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Labels["alertname"], a.Labels["severity"], lasting(a), stateOf(a),
			pairs(a.Labels, "alertname", "severity"), a.Annotations["summary"])
	}
	_ = t.Flush()
}

func lasting(a *models.GettableAlert) string {
	return time.Since(time.Time(*a.StartsAt)).Round(time.Second).String()
}

// stateOf is what keeps an alert from being told, or that nothing does.
func stateOf(a *models.GettableAlert) string {
	switch s := a.Status; {
	case s == nil || s.State == nil:
		return models.AlertStatusStateUnprocessed
	case len(s.SilencedBy) > 0:
		return "silenced"
	case len(s.InhibitedBy) > 0:
		return "inhibited"
	default:
		return *s.State
	}
}

// messageGroup is a group with its alerts.
type messageGroup struct {
	app.AlertGroup
	Alerts models.GettableAlerts `json:"alerts"`
}

// listGroups prints the groups that hold an alert that is picked.
func (e *env) listGroups(ctx context.Context, c *client, get func(context.Context) (models.GettableAlerts, error)) error {
	alerts, err := get(ctx)
	if err != nil {
		return err
	}
	var all app.AlertGroups
	if err := c.do(ctx, http.MethodGet, "/alerts/groups", nil, nil, &all); err != nil {
		return err
	}
	groups := []messageGroup{}
	for _, g := range all.Groups {
		group := messageGroup{AlertGroup: g}
		for _, a := range alerts {
			if slices.Contains(g.Fingerprints, *a.Fingerprint) {
				group.Alerts = append(group.Alerts, a)
			}
		}
		if len(group.Alerts) > 0 {
			groups = append(groups, group)
		}
	}
	slices.SortStableFunc(groups, func(a, b messageGroup) int { return cmp.Compare(worth(a.Alerts[0]), worth(b.Alerts[0])) })
	return e.print(groups, func(w io.Writer) { writeGroups(w, groups) })
}

func writeGroups(w io.Writer, groups []messageGroup) {
	if len(groups) == 0 {
		fmt.Fprintln(w, "nothing fires")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MARK\tGROUP\tRECEIVER\tALERTS\tTOLD\tFOR")
	for _, g := range groups {
		told := 0
		for _, a := range g.Alerts {
			if stateOf(a) == models.AlertStatusStateActive {
				told++
			}
		}
		muted := ""
		if len(g.MutedBy) > 0 {
			muted = ", muted by " + strings.Join(g.MutedBy, ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d%s\t%s\n", g.Mark, pairs(g.Labels), receiverText(g.Receiver, g.Channel), len(g.Alerts), told, muted, lasting(g.Alerts[0]))
	}
	_ = t.Flush()
}

// receiverText says whom a receiver reaches, where its name does not.
func receiverText(receiver, channel string) string {
	if channel == "" || channel == receiver {
		return receiver
	}
	return receiver + " (" + channel + ")"
}
