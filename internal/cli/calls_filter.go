package cli

import (
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// callFilter are the flags that choose calls: the same for every question.
type callFilter struct {
	texts        map[string]*string // by the name of the API's parameter
	since, until moment
	loadTest     bool
}

// add adds the flags. What they mean is the API's business.
func (f *callFilter) add(cmd *cobra.Command) {
	f.texts = map[string]*string{}
	fl := cmd.Flags()
	for _, t := range []struct{ parameter, flag, help string }{
		{"status", "status", "such as 429, 5xx, '>=400', 400-499 or failed"},
		{"tenant", "tenant", "of functions of this tenant"},
		{"revision", "revision", "of this revision"},
		{"zone", "zone", "answered by this zone"},
		{"pod", "pod", "answered by the pod at this address"},
		{"gateway", "gateway", "taken by this gateway"},
		{"consumer", "consumer", "by this consumer"},
		{"method", "method", "with this method"},
		{"host", "host", "for this host"},
		{"path_prefix", "path-prefix", "whose path begins so"},
		{"path", "path", "whose path or query holds this"},
		{"limited_by", "limited-by", "refused by this limit, or any"},
		{"min_duration", "min-duration", "that took at least that long, such as 250ms"},
		{"request_id", "request-id", "this call alone"},
		{"trace_id", "trace", "of this trace alone"},
		{"load_run", "load-run", "of this run of a load test alone"},
	} {
		f.texts[t.parameter] = fl.String(t.flag, "", t.help)
	}
	fl.BoolVar(&f.loadTest, "load-test", false, "calls of load tests, too")
	fl.Var(&f.since, "since", "how far back, or since when")
	fl.Var(&f.until, "until", "how far back to end, or until when; default: now")
}

// query is what was asked for, as parameters of the API.
func (f *callFilter) query(cmd *cobra.Command, args []string) url.Values {
	q := url.Values{}
	if len(args) > 0 {
		q.Set("function", args[0])
	}
	byID := false
	for name, value := range f.texts {
		if *value != "" {
			q.Set(name, *value)
			byID = byID || name == "request_id" || name == "trace_id"
		}
	}
	if !byID || cmd.Flags().Changed("since") {
		q.Set("since", f.since.at().UTC().Format(time.RFC3339Nano))
	}
	if cmd.Flags().Changed("until") {
		q.Set("until", f.until.at().UTC().Format(time.RFC3339Nano))
	}
	if f.loadTest {
		q.Set("load_test", "true")
	}
	return q
}

// when is the time that q asks about, for a person.
func (f *callFilter) when(q url.Values) string {
	switch {
	case q.Get("since") == "":
		return ""
	case q.Get("until") != "":
		return fmt.Sprintf(" from %s to %s", q.Get("since"), q.Get("until"))
	case f.since.back > 0:
		return fmt.Sprintf(" in the last %v", f.since.back)
	}
	return " since " + q.Get("since")
}

// moment is a time that is given as such, or as how long ago it was.
type moment struct {
	back time.Duration
	time time.Time // zero: back counts
}

var _ pflag.Value = (*moment)(nil)

func ago(d time.Duration) moment { return moment{back: d} }

// at is the moment.
func (m *moment) at() time.Time {
	if !m.time.IsZero() {
		return m.time
	}
	return time.Now().Add(-m.back)
}

// Set reads 15m or 2026-01-02T15:04:05+08:00, the latter also without its end, in
// local time.
func (m *moment) Set(text string) error {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		*m = moment{back: d}
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			*m = moment{time: t}
			return nil
		}
	}
	return fmt.Errorf("want how long ago, such as 15m, or a time such as 2026-01-02T15:04:05")
}

// String is for --help and must not change with the clock.
func (m *moment) String() string {
	if !m.time.IsZero() {
		return m.time.Format(time.RFC3339)
	}
	if m.back == 0 {
		return ""
	}
	return m.back.String()
}

// Type is for --help.
func (*moment) Type() string { return "duration|time" }

// tokenVariable names the environment variable for --token.
const tokenVariable = "KONGDAO_TOKEN"

func (e *env) tokenFlag(fl *pflag.FlagSet) {
	fl.StringVar(&e.token, "token", "", "ask as the reader with this token; default: $"+tokenVariable+", else the operator of this machine")
}

// bearer is the token to ask with; empty: none.
func (e *env) bearer() string {
	if e.token != "" {
		return e.token
	}
	return os.Getenv(tokenVariable)
}
