package drill_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongdao/kongdao/capacity/drill"
)

func TestWeekly(t *testing.T) {
	for text, want := range map[string]string{ // on Wednesday 2026-04-01, 12:00
		"Tue 10:00": "2026-03-31T10:00:00Z", "Wed 12:00": "2026-04-01T12:00:00Z", "Wed 12:01": "2026-03-25T12:01:00Z",
		"Thursday 00:00": "2026-03-26T00:00:00Z", "daily 23:30": "2026-03-31T23:30:00Z", "daily 10:00": "2026-04-01T10:00:00Z",
	} {
		w, err := drill.ParseWeekly(text)
		if err != nil {
			t.Error(err)
		}
		if got := w.Last(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC), time.UTC).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "Tue", "Tue 25:00", "tue 10:00", "10:00", "weekly 10:00", "Tue  10:00"} {
		if _, err := drill.ParseWeekly(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// practising is three weeks of practice on Mondays, which the first of the year 2000
// is a Saturday before.
func practising(t *testing.T, alter func(p *drill.Practice)) (log []string) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		note := func(format string, args ...any) {
			log = append(log, fmt.Sprintf("%.1f h: ", time.Since(began).Hours())+fmt.Sprintf(format, args...))
		}
		last := time.Time{}
		monday, err := drill.ParseWeekly("Mon 10:00")
		if err != nil {
			t.Fatal(err)
		}
		p := drill.Practice{
			Times: []drill.Weekly{monday}, Where: time.UTC, Window: 2 * time.Hour, Every: time.Minute, Since: began,
			Last:    func() time.Time { return last },
			Blocked: func(context.Context) string { return "" },
			Drill: func(context.Context) (drill.Record, error) {
				last = time.Now()
				note("drill")
				return drill.Record{State: drill.Done, Moved: last}, nil
			},
			Missed: func(_ time.Time, why string) {
				last = time.Now()
				note("missed: %s", why)
			},
		}
		alter(&p)
		ctx, cancel := context.WithTimeout(t.Context(), 21*24*time.Hour)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return log
}

func TestPractice(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(p *drill.Practice)
		want  []string
	}{
		"each Monday": {func(*drill.Practice) {}, []string{"58.0 h: drill", "226.0 h: drill", "394.0 h: drill"}},
		"an alert fires for an hour of the first Monday": {func(p *drill.Practice) {
			began := time.Now()
			p.Blocked = func(context.Context) string {
				if time.Since(began) < 59*time.Hour {
					return "an alert fires"
				}
				return ""
			}
		}, []string{"59.0 h: drill", "226.0 h: drill", "394.0 h: drill"}},
		"and for all of it": {func(p *drill.Practice) {
			began := time.Now()
			p.Blocked = func(context.Context) string {
				if time.Since(began) < 100*time.Hour {
					return "an alert fires"
				}
				return ""
			}
		}, []string{"60.0 h: missed: an alert fires", "226.0 h: drill", "394.0 h: drill"}},
		"the others cannot take over": {func(p *drill.Practice) {
			p.Drill = func(context.Context) (drill.Record, error) {
				return drill.Record{State: drill.Refused}, drill.ErrRefused
			}
		}, []string{"60.0 h: missed: zone must not be drained", "228.0 h: missed: zone must not be drained", "396.0 h: missed: zone must not be drained"}},
		"a run of before the start": {
			func(p *drill.Practice) { p.Since = p.Since.Add(-200 * time.Hour) },
			[]string{"0.0 h: missed: the process did not run", "58.0 h: drill", "226.0 h: drill", "394.0 h: drill"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := practising(t, c.alter); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
