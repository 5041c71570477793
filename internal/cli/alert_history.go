package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/alerting/ledger"
	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) alertHistoryCommand() *cobra.Command {
	var q app.AlertMessageQuery
	var since time.Duration
	cmd := &cobra.Command{
		Use: "history [MARK]", Short: "what was sent, when, to whom, and why not",
		Long: `History lists what became of messages about alerts, oldest first: accepted, tried,
sent, digested, refused, unanswered, superseded, fallback, dead; claimed, silenced,
escalated. MARK is that of a matter or of one message, as messages show it.`,
		Example: "  kongdao alert history --since 1h --channel on-call\n  kongdao alert history '#A3F2'\n  kongdao alert history --event dead --since 168h -o json",
		Args:    usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			v := url.Values{"since": {time.Now().Add(-since).UTC().Format(time.RFC3339Nano)}, "limit": {strconv.Itoa(q.Limit)}}
			if len(args) > 0 {
				q.Mark = args[0]
			}
			for name, value := range map[string]string{"channel": q.Channel, "function": q.Function, "alert": q.Alert, "mark": q.Mark, "event": q.Event} {
				if value != "" {
					v.Set(name, value)
				}
			}
			var list app.AlertMessages
			if err := c.do(cmd.Context(), http.MethodGet, "/alerts/messages", v, nil, &list); err != nil {
				return err
			}
			return e.print(list, func(w io.Writer) { writeMessageEvents(w, list.Events) })
		},
	}
	f := cmd.Flags()
	f.DurationVar(&since, "since", 24*time.Hour, "events within this time")
	f.StringVar(&q.Channel, "channel", "", "of messages to this channel or robot")
	f.StringVar(&q.Function, "function", "", "of messages about this function")
	f.StringVar(&q.Alert, "alert", "", "of messages about alerts of this name")
	f.StringVar(&q.Event, "event", "", "of this kind alone")
	f.IntVar(&q.Limit, "limit", 100, "the newest, at most so many")
	return cmd
}

func writeMessageEvents(w io.Writer, events []ledger.Event) {
	if len(events) == 0 {
		fmt.Fprintln(w, "no message")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tMARK\tALERT\tSTATE\tCHANNEL\tEVENT\tBY\tWHY NOT")
	for _, x := range events {
		state := "ended"
		if x.Firing {
			state = "firing"
		}
		fmt.Fprintf(t, "%s\t%s-%d\t%s\t%s\t%s\t%s\t%s\t%s\n", x.At.Local().Format("01-02 15:04:05.000"), x.Matter, x.Sequence,
			or(x.Alert, "-"), state, x.Channel, eventText(x), or(or(x.By, x.Robot), "-"), or(x.Reason, "-"))
	}
	_ = t.Flush() // to standard output
}

func eventText(x ledger.Event) string {
	if x.Kind == ledger.Sent && !x.Last {
		return fmt.Sprintf("sent, part %d", x.Part)
	}
	return string(x.Kind)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (e *env) alertReplayCommand() *cobra.Command {
	var ask app.AlertReplay
	var since, until time.Duration
	cmd := &cobra.Command{
		Use: "replay", Short: "send again what nobody was told",
		Long: `Replay looks up messages that were accepted and that nobody was told: given up on, or
lost with an outbox's folder. It lists them; with --yes they are accepted for their
channels again. What has ended since is told as ended. A message of whose matter a newer
one was delivered is left out, and so is what still waits.`,
		Example: "  kongdao alert replay --since 6h\n  kongdao alert replay --since 6h --channel on-call --yes",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since <= until {
				return invalid(fmt.Errorf("--since %v must be longer ago than --until %v", since, until))
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			now := time.Now().UTC()
			ask.Since, ask.Until = now.Add(-since), now.Add(-until)
			var done app.AlertReplayed
			if err := c.do(cmd.Context(), http.MethodPost, "/alerts/replay", nil, ask, &done); err != nil {
				return err
			}
			return e.print(done, func(w io.Writer) { writeReplayed(w, done) })
		},
	}
	f := cmd.Flags()
	f.DurationVar(&since, "since", 24*time.Hour, "messages accepted within this time")
	f.DurationVar(&until, "until", 0, "and not within this one")
	f.StringVar(&ask.Channel, "channel", "", "messages to this channel or robot alone")
	f.BoolVar(&ask.Send, "yes", false, "send them; otherwise they are only listed")
	return cmd
}

func writeReplayed(w io.Writer, done app.AlertReplayed) {
	if len(done.Messages) == 0 {
		fmt.Fprintln(w, "nothing to send again: everything was told, or waits")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ACCEPTED\tMARK\tALERT\tSEVERITY\tTOLD AS\tCHANNEL\tWHY NOT")
	for _, m := range done.Messages {
		state := "ended"
		if m.Firing {
			state = "firing"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.At.Local().Format("01-02 15:04:05"), m.Mark, or(m.Alert, "-"), or(m.Severity, "-"), state, m.Channel, or(m.Why, "-"))
	}
	_ = t.Flush() // to standard output
	if done.Sent {
		fmt.Fprintf(w, "%d accepted again\n", len(done.Messages))
		return
	}
	fmt.Fprintf(w, "%d would be sent; --yes sends them\n", len(done.Messages))
}
