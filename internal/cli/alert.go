package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/spf13/cobra"
)

func (e *env) alertCommand() *cobra.Command {
	return group("alert", "alerts, silences and robots", e.alertListCommand(), e.alertTestCommand(), e.alertSilenceCommand())
}

func (e *env) alertListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "what fires now", Args: usage(cobra.NoArgs),
		Example: "  kongdao alert list\n  kongdao alert list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			alerts := models.GettableAlerts{}
			if err := c.alertmanager(cmd.Context(), http.MethodGet, "/alerts?"+url.Values{"filter": {`severity!="none"`}}.Encode(), nil, &alerts); err != nil {
				return err
			}
			return e.print(alerts, func(w io.Writer) { writeAlerts(w, alerts) })
		},
	}
}

func writeAlerts(w io.Writer, alerts models.GettableAlerts) {
	if len(alerts) == 0 {
		fmt.Fprintln(w, "nothing fires")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ALERT\tSEVERITY\tFOR\tSTATE\tSUMMARY")
	for _, a := range alerts {
		state := "active"
		if a.Status != nil && a.Status.State != nil {
			state = *a.Status.State
		}
		since := time.Since(time.Time(*a.StartsAt)).Round(time.Second)
		fmt.Fprintf(t, "%s\t%s\t%v\t%s\t%s\n", a.Labels["alertname"], a.Labels["severity"], since, state, a.Annotations["summary"])
	}
	_ = t.Flush()
}

func (e *env) alertTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test ROBOT", Short: "send a test message to a robot",
		Long:    "Test sends a message right away, past grouping and outbox, and fails unless the robot took it.",
		Example: "  kongdao alert test oncall",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			if err := c.do(cmd.Context(), http.MethodPost, "/robots/"+url.PathEscape(args[0])+"/test", nil, nil, nil); err != nil {
				return err
			}
			return e.print(map[string]string{"robot": args[0], "result": "sent"}, func(w io.Writer) {
				fmt.Fprintf(w, "the robot %s took a test message\n", args[0])
			})
		},
	}
}

func (e *env) alertSilenceCommand() *cobra.Command {
	var duration time.Duration
	var comment string
	cmd := &cobra.Command{
		Use: "silence MATCHER…", Short: "silence alerts for a while",
		Long:    "Silence keeps alerts whose labels match from being sent. Matchers are those of Alertmanager; amtool shows and ends silences.",
		Example: "  kongdao alert silence alertname=ZoneDown zone=zb-b --for 30m --comment 'drill'",
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			matchers, err := parseMatchers(args)
			if err != nil {
				return invalid(err)
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			var made struct {
				SilenceID string `json:"silenceID"`
			}
			if err := c.alertmanager(cmd.Context(), http.MethodPost, "/silences", silence(matchers, duration, comment), &made); err != nil {
				return err
			}
			return e.print(made, func(w io.Writer) { fmt.Fprintf(w, "silence %s for %v\n", made.SilenceID, duration) })
		},
	}
	cmd.Flags().DurationVar(&duration, "for", 30*time.Minute, "how long")
	cmd.Flags().StringVar(&comment, "comment", "silenced on the command line", "why")
	return cmd
}

func parseMatchers(args []string) (models.Matchers, error) {
	var all models.Matchers
	for _, a := range args {
		ms, err := compat.Matchers(a, "cli")
		if err != nil {
			return nil, fmt.Errorf("matcher %q: %w", a, err)
		}
		for _, m := range ms {
			equal := m.Type.String() == "=" || m.Type.String() == "=~"
			regex := m.Type.String() == "=~" || m.Type.String() == "!~"
			all = append(all, &models.Matcher{Name: &m.Name, Value: &m.Value, IsEqual: &equal, IsRegex: &regex})
		}
	}
	return all, nil
}

func silence(matchers models.Matchers, d time.Duration, comment string) models.PostableSilence {
	by := "kongdao"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	start, end := strfmt.DateTime(time.Now()), strfmt.DateTime(time.Now().Add(d))
	return models.PostableSilence{Silence: models.Silence{
		Matchers: matchers, StartsAt: &start, EndsAt: &end, CreatedBy: &by, Comment: &comment,
	}}
}

// alertmanager speaks Alertmanager's API v2.
func (c *client) alertmanager(ctx context.Context, method, path string, in, out any) error {
	if c.addresses.Alertmanager == "" {
		return fmt.Errorf("the running system has no alerting: start it with kongdao serve alerting …")
	}
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addresses.Alertmanager+"/api/v2"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask alertmanager: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(res.Body)
		return fmt.Errorf("alertmanager answers %s: %s", res.Status, bytes.TrimSpace(text))
	}
	return json.NewDecoder(res.Body).Decode(out)
}
