package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

// shown is all that is known of one alert. Alert is nil while it is only pending,
// Rule while it is not of a rule.
type shown struct {
	Labels    map[string]string       `json:"labels"`
	State     string                  `json:"state"` // as list says it, or pending
	Since     time.Time               `json:"since"`
	Value     string                  `json:"value,omitempty"` // of the rule's expression now
	Alert     *models.GettableAlert   `json:"alert,omitempty"`
	Silences  models.GettableSilences `json:"silences"`
	Inhibits  []map[string]string     `json:"inhibited_by"` // labels of alerts
	Routes    []app.AlertRoute        `json:"routes"`
	MutedBy   []string                `json:"muted_by"` // time intervals
	Rule      *alertRule              `json:"rule,omitempty"`
	ruleAlert *rulesAlert
	Past      []spell `json:"past"`
}

// shownAlerts is the answer to show.
type shownAlerts struct {
	Alerts []*shown    `json:"alerts"`
	Rules  []alertRule `json:"rules"` // of that name
	Past   []past      `json:"past"`  // of alerts that do not fire any more
}

func (e *env) alertShowCommand() *cobra.Command {
	since := "6h"
	cmd := &cobra.Command{
		Use: "show NAME | FINGERPRINT | MARK", Short: "all about an alert: why, since when, who is told, what it went through",
		Long: `Show prints what is known of the alerts of a name, of one alert by its fingerprint, or
of those that messages with a mark tell of: labels, since when, the value now, what
silences or inhibits it, the route that it takes and whom that reaches, the rule, and
when it was pending and fired. A mark may go without its #, which shells take for the
beginning of a comment, and with the number of a message.`,
		Example: "  kongdao alert show ZoneDown\n  kongdao alert show A3F2\n  kongdao alert show '#A3F2-17' --since 1h -o json",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeAlerts,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := model.ParseDuration(since)
			if err != nil || d <= 0 {
				return invalid(fmt.Errorf("--since %s: want a duration such as 30m or 6h", since))
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			out, err := c.show(cmd.Context(), args[0], time.Duration(d))
			if err != nil {
				return err
			}
			return e.print(out, func(w io.Writer) { writeShown(w, args[0], out) })
		},
	}
	cmd.Flags().StringVar(&since, "since", since, "how far back to look; as long as alerting.retention at most")
	return cmd
}

var (
	fingerprint = regexp.MustCompile(`^[0-9a-f]{16}$`)
	mark        = regexp.MustCompile(`^#?([0-9A-Fa-f]{4})(-[0-9]+)?$`)
)

func (c *client) show(ctx context.Context, what string, since time.Duration) (out shownAlerts, err error) {
	alerts, err := c.alerts(ctx, &selection{}, "", false)
	if err != nil {
		return out, err
	}
	var groups app.AlertGroups
	if err := c.do(ctx, http.MethodGet, "/alerts/groups", nil, nil, &groups); err != nil {
		return out, err
	}
	rules, err := c.alertRules(ctx, "")
	if err != nil {
		return out, err
	}
	picked := pickShown(what, alerts, groups, rules)
	named := slices.ContainsFunc(rules, func(r alertRule) bool { return r.Name == what })
	if len(picked) == 0 && !named {
		return out, notShown(what, rules)
	}
	out = shownAlerts{Alerts: []*shown{}, Rules: []alertRule{}, Past: []past{}}
	names := map[string]bool{what: true}
	for _, a := range picked {
		out.Alerts = append(out.Alerts, &shown{Alert: a, Labels: a.Labels, State: stateOf(a), Since: time.Time(*a.StartsAt)})
		names[a.Labels["alertname"]] = true
	}
	for _, r := range rules {
		if !names[r.Name] {
			continue
		}
		out.join(r, r.Name == what)
		r.Alerts = nil
		out.Rules = append(out.Rules, r)
	}
	if err := c.surround(ctx, &out, alerts, groups); err != nil {
		return out, err
	}
	if err := c.addPast(ctx, &out, names, since); err != nil {
		return out, err
	}
	if !named { // others of these rules were not asked for
		out.Past = []past{}
	}
	return out, nil
}

// pickShown are the alerts of a name, a fingerprint, or a mark.
func pickShown(what string, alerts models.GettableAlerts, groups app.AlertGroups, rules []alertRule) (picked models.GettableAlerts) {
	named := slices.ContainsFunc(rules, func(r alertRule) bool { return r.Name == what })
	for _, a := range alerts {
		named = named || a.Labels["alertname"] == what
	}
	told := map[string]bool{}
	if m := mark.FindStringSubmatch(what); m != nil && !named {
		for _, g := range groups.Groups {
			if strings.EqualFold(g.Mark, "#"+m[1]) {
				for _, f := range g.Fingerprints {
					told[f] = true
				}
			}
		}
	}
	for _, a := range alerts {
		if named && a.Labels["alertname"] == what || !named && (*a.Fingerprint == what || told[*a.Fingerprint]) {
			picked = append(picked, a)
		}
	}
	return picked
}

func notShown(what string, rules []alertRule) error {
	switch {
	case fingerprint.MatchString(what):
		return fmt.Errorf("no alert with the fingerprint %s fires; kongdao alert list -o json has them", what)
	case mark.MatchString(what):
		return fmt.Errorf("nothing fires that messages with the mark %s tell of; kongdao alert list --groups has the marks", what)
	}
	return fmt.Errorf("there is no alert %s; rules make %s", what, strings.Join(ruleNames(rules), ", "))
}

// join adds what a rule knows of its alerts, and, of those of its name, also the alerts
// that are pending.
func (s *shownAlerts) join(r alertRule, pending bool) {
	all := r.Alerts
	r.Alerts = nil // each is shown by itself
	for _, a := range all {
		known := false
		for _, x := range s.Alerts {
			if x.Alert != nil && within(a.Labels, x.Labels) {
				x.Rule, x.ruleAlert, x.Value, known = &r, &a, a.Value, true
			}
		}
		if !known && pending {
			s.Alerts = append(s.Alerts, &shown{Labels: a.Labels, State: a.State, Since: a.ActiveAt, Value: a.Value, Rule: &r, ruleAlert: &a})
		}
	}
}

// within reports whether set has all labels of part. Alerts get labels on their way.
func within(part, set map[string]string) bool {
	for name, value := range part {
		if set[name] != value {
			return false
		}
	}
	return true
}

// surround adds to each alert what it meets on its way.
func (c *client) surround(ctx context.Context, out *shownAlerts, alerts models.GettableAlerts, groups app.AlertGroups) error {
	silences, err := c.silences(ctx, &selection{}, false)
	if err != nil {
		return err
	}
	for _, s := range out.Alerts {
		s.Silences, s.Inhibits, s.MutedBy, s.Past = models.GettableSilences{}, []map[string]string{}, []string{}, []spell{}
		var labels []string
		for name, value := range s.Labels {
			labels = append(labels, name+"="+value)
		}
		var way app.AlertRoutes
		if err := c.do(ctx, http.MethodGet, "/alerts/routes", url.Values{"label": labels}, nil, &way); err != nil {
			return err
		}
		s.Routes = way.Routes
		for _, x := range silences {
			if slices.Contains(way.SilencedBy, *x.ID) {
				s.Silences = append(s.Silences, x)
			}
		}
		for _, a := range alerts {
			if slices.Contains(way.InhibitedBy, *a.Fingerprint) {
				s.Inhibits = append(s.Inhibits, a.Labels)
			}
		}
		for _, g := range groups.Groups {
			if s.Alert != nil && slices.Contains(g.Fingerprints, *s.Alert.Fingerprint) {
				s.MutedBy = append(s.MutedBy, g.MutedBy...)
			}
		}
	}
	return nil
}

// addPast gives each alert its past, and the rest to what does not fire any more.
func (c *client) addPast(ctx context.Context, out *shownAlerts, names map[string]bool, since time.Duration) error {
	for name := range names {
		if !slices.ContainsFunc(out.Rules, func(r alertRule) bool { return r.Name == name }) {
			continue
		}
		all, err := c.alertPast(ctx, map[string]string{"alertname": name}, since)
		if err != nil {
			return err
		}
		for _, p := range all {
			i := slices.IndexFunc(out.Alerts, func(s *shown) bool {
				return s.ruleAlert != nil && pairs(s.ruleAlert.Labels) == pairs(p.Labels)
			})
			if i >= 0 {
				out.Alerts[i].Past = p.Spells
			} else {
				out.Past = append(out.Past, p)
			}
		}
	}
	return nil
}
