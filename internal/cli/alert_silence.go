package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
)

// silencing is a silence that is asked for.
type silencing struct {
	selection
	length, until   string
	comment, author string
	dryRun, force   bool
}

// silenced is the answer. ID is empty when nothing was made.
type silenced struct {
	ID       string                `json:"silenceID,omitempty"`
	Matchers models.Matchers       `json:"matchers"`
	EndsAt   time.Time             `json:"endsAt"`
	Alerts   models.GettableAlerts `json:"alerts"` // that it silences now
}

func (e *env) alertSilenceCommand() *cobra.Command {
	var s silencing
	cmd := &cobra.Command{
		Use: "silence MATCHER…", Short: "silence alerts for a while",
		Long: `Silence keeps alerts whose labels match from being told, and says which of those that
fire now it silences. All matchers have to match; they are those of amtool: label=value,
label!=value, label=~regex, label!~regex; a first word without an operator is the name of
an alert. What would silence everything is refused (exit code 3) without --force.

kongdao alert silences lists silences, kongdao alert expire ends them.`,
		Example: `  kongdao alert silence ZoneDown zone=zb-b --for 30m --comment drill
  kongdao alert silence --function recommend-feed severity=ticket --until 18:00
  kongdao alert silence 'zone=~zb-(a|b)' --dry-run`,
		ValidArgsFunction: e.completeMatchers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.parse(args); err != nil {
				return err
			}
			if len(s.matchers) == 0 {
				return invalid(errors.New("kongdao alert silence: name what to silence, such as alertname=ZoneDown; see kongdao alert silence --help"))
			}
			end, err := s.end(time.Now(), cmd.Flags().Changed("for"))
			if err != nil {
				return invalid(err)
			}
			return e.silence(cmd.Context(), s, end)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.length, "for", "30m", "how long, such as 45m, 8h or 2d")
	f.StringVar(&s.until, "until", "", "until when instead: 18:00 (the next one), 2026-12-01 09:00, or RFC 3339")
	f.StringVar(&s.comment, "comment", "silenced on the command line", "why")
	f.StringVar(&s.author, "author", "", "who does it (default: $USER)")
	f.StringVar(&s.function, "function", "", "alerts of this function alone")
	f.BoolVar(&s.dryRun, "dry-run", false, "say what would be silenced now, and silence nothing")
	f.BoolVar(&s.force, "force", false, "even if it silences everything")
	e.completeFunctionFlag(cmd)
	return cmd
}

// end is when the silence is over.
func (s silencing) end(now time.Time, hasLength bool) (time.Time, error) {
	if s.until == "" {
		d, err := model.ParseDuration(s.length)
		if err != nil || d <= 0 {
			return time.Time{}, fmt.Errorf("--for %s: want a duration such as 45m, 8h or 2d", s.length)
		}
		return now.Add(time.Duration(d)), nil
	}
	if hasLength {
		return time.Time{}, errors.New("--for and --until both say when it ends: give one")
	}
	if t, err := time.ParseInLocation("15:04", s.until, now.Location()); err == nil {
		y, m, d := now.Date()
		if end := time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, now.Location()); end.After(now) {
			return end, nil
		}
		return time.Date(y, m, d+1, t.Hour(), t.Minute(), 0, 0, now.Location()), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s.until, now.Location()); err == nil {
			if !t.After(now) {
				return t, fmt.Errorf("--until %s: is over", s.until)
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--until %s: want a time such as 18:00, 2026-12-01 09:00 or 2026-12-01T09:00:00+08:00", s.until)
}

func (e *env) silence(ctx context.Context, s silencing, end time.Time) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	out := silenced{Matchers: s.posted(), EndsAt: end}
	if out.Alerts, err = c.alerts(ctx, &s.selection, "", false); err != nil {
		return err
	}
	if s.everything() {
		fmt.Fprintf(e.err, "these matchers silence every alert, or nearly: %s now, and whatever begins until %s\n", firing(len(out.Alerts)), clock(end))
		if !s.force && !s.dryRun {
			return refused(errors.New("refused: --force silences all the same"))
		}
	}
	if s.dryRun {
		return e.print(out, func(w io.Writer) {
			fmt.Fprintf(w, "would silence until %s, %s of those that fire now:\n", clock(end), count(len(out.Alerts), "alert"))
			writeAlerts(w, out.Alerts)
		})
	}
	if s.author == "" {
		s.author = whoever()
	}
	start, until := strfmt.DateTime(time.Now()), strfmt.DateTime(end)
	posted := models.PostableSilence{Silence: models.Silence{
		Matchers: out.Matchers, StartsAt: &start, EndsAt: &until, CreatedBy: &s.author, Comment: &s.comment,
	}}
	if err := c.alertmanager(ctx, http.MethodPost, "/silences", nil, posted, &out); err != nil {
		return err
	}
	return e.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "silence %s until %s (%v)\n", out.ID, clock(end), time.Until(end).Round(time.Second))
		fmt.Fprintf(w, "silences %s of those that fire now\n", count(len(out.Alerts), "alert"))
		if len(out.Alerts) > 0 {
			writeAlerts(w, out.Alerts)
		}
	})
}

// whoever is the name of the person at the keyboard.
func whoever() string {
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "kongdao"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
