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

// onCallAnswer is who is on call, as the API says it.
type onCallAnswer struct {
	Turns []struct {
		Calendar string    `json:"calendar"`
		Teams    []string  `json:"teams"`
		Person   string    `json:"person"`
		Name     string    `json:"name"`
		From     time.Time `json:"from"`
		Until    time.Time `json:"until"`
		Override bool      `json:"override,omitempty"`
	} `json:"turns"`
}

func (e *env) alertOnCallCommand() *cobra.Command {
	var at string
	var days int
	cmd := &cobra.Command{
		Use: "oncall [CALENDAR]", Short: "who is on call",
		Long:    "Oncall says who is called for pages, now or at another time, and with --days who will be. Times are those of the calendar's time zone.",
		Example: "  kongdao alert oncall\n  kongdao alert oncall feed --days 30\n  kongdao alert oncall --at 2026-12-24T18:00:00+08:00",
		Args:    usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			query, err := onCallQuery(args, at, days)
			if err != nil {
				return invalid(err)
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			var answer onCallAnswer
			if err := c.do(cmd.Context(), http.MethodGet, "/alerts/oncall", query, nil, &answer); err != nil {
				return err
			}
			return e.print(answer, answer.text)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "a time such as 2026-12-24T18:00:00+08:00 (default: now)")
	cmd.Flags().IntVar(&days, "days", 0, "the turns of as many days")
	return cmd
}

func onCallQuery(args []string, at string, days int) (url.Values, error) {
	query := url.Values{}
	if len(args) > 0 {
		query.Set("calendar", args[0])
	}
	from := time.Now()
	if at != "" {
		var err error
		if from, err = time.Parse(time.RFC3339, at); err != nil {
			return nil, fmt.Errorf("--at %q: want a time such as 2026-12-24T18:00:00+08:00", at)
		}
		query.Set("from", from.Format(time.RFC3339))
	}
	switch {
	case days < 0 || days > 366:
		return nil, fmt.Errorf("--days %d: want 0 to 366", days)
	case days > 0:
		query.Set("from", from.Format(time.RFC3339))
		query.Set("until", from.AddDate(0, 0, days).Format(time.RFC3339))
	}
	return query, nil
}

func (a onCallAnswer) text(w io.Writer) {
	if len(a.Turns) == 0 {
		fmt.Fprintln(w, "there is no on-call calendar: alerts mention all members of a team")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CALENDAR\tTEAMS\tON CALL\tFROM\tUNTIL")
	for _, turn := range a.Turns {
		who := turn.Person
		if turn.Name != turn.Person {
			who += " " + turn.Name
		}
		if turn.Override {
			who += " (override)"
		}
		const layout = "Mon 2006-01-02 15:04 -0700"
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", turn.Calendar, strings.Join(turn.Teams, ","), who, turn.From.Format(layout), turn.Until.Format(layout))
	}
	_ = t.Flush()
}
