package schema_test

import (
	"testing"
	"time"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
)

func TestRollupFor(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		ago    time.Duration
		length time.Duration
		step   time.Duration
		want   string
	}{
		{"a month by the hour", 30 * day, 30 * day, time.Hour, "calls_1h"},
		{"a month by six hours", 30 * day, 30 * day, 6 * time.Hour, "calls_1h"},
		{"a month by half an hour", 30 * day, 30 * day, 30 * time.Minute, "calls_1m"},
		{"a day at once", day, day, 0, "calls_1h"},
		{"an hour at once", time.Hour, time.Hour, 0, "calls_1m"},
		{"an hour by 30 s", time.Hour, time.Hour, 30 * time.Second, "calls_10s"},
		{"steps that no rollup has", time.Hour, time.Hour, 15 * time.Second, "calls"},
		{"an hour, a month ago, by 10 s: that rollup is gone", 30 * day, time.Hour, 10 * time.Second, "calls"},
		{"an hour, 100 days ago, by the minute: that one too", 100 * day, time.Hour, time.Minute, "calls"},
		{"100 days ago, by the hour", 100 * day, day, time.Hour, "calls_1h"},
	} {
		since := now.Add(-c.ago)
		if got, _ := schema.RollupFor(since, since.Add(c.length), now, c.step); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
