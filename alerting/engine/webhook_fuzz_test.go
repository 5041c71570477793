package engine

import (
	"strings"
	"testing"
	"time"
)

// Whatever comes by webhook is refused, or is a group that a message can be made of.
func FuzzWebhook(f *testing.F) {
	f.Add([]byte(`{"version":"4","groupKey":"k","status":"firing","groupLabels":{"a":"b"},"alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"2026-01-02T03:04:05Z"}]}`))
	f.Add([]byte(`{"version":"1","groupKey":"k","status":"resolved","alerts":[{"status":"resolved","labels":{"a":"b"},"startsAt":"2026-01-02T03:04:05Z","endsAt":"2026-01-02T03:04:06Z"}]}`))
	f.Add([]byte(`{"version":"4","alerts":null}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(strings.Repeat(`{"alerts":[`, 100)))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := parseWebhook(body, now)
		if err != nil {
			return
		}
		if g.Key == "" || g.Labels == nil || len(g.Alerts) == 0 {
			t.Fatalf("taken: %+v", g)
		}
		for _, a := range g.Alerts {
			if len(a.Labels) == 0 || a.Fingerprint == "" || a.StartsAt.IsZero() || a.EndsAt.After(now) {
				t.Fatalf("taken: %+v", a)
			}
		}
	})
}
