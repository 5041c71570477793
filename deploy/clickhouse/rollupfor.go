package schema

import "time"

// RollupFor is the coarsest table that can answer a question about the time from
// since to until in steps of step: with a row for each step at least, over all of
// that time. A step of zero means one answer for the whole time, to the minute.
// Without a rollup that fits, it is calls itself; its step is then 0.
func RollupFor(since, until, now time.Time, step time.Duration) (table string, rollup time.Duration) {
	if step <= 0 {
		step = time.Minute
		if until.Sub(since) >= 24*time.Hour {
			step = time.Hour
		}
	}
	for _, r := range []struct {
		table string
		step  time.Duration
		keep  time.Duration
	}{
		{"calls_1h", time.Hour, 13 * 30 * 24 * time.Hour},
		{"calls_1m", time.Minute, 89 * 24 * time.Hour}, // three months, of which one may be short
		{"calls_10s", 10 * time.Second, 7 * 24 * time.Hour},
	} {
		if step%r.step == 0 && since.After(now.Add(-r.keep)) {
			return r.table, r.step
		}
	}
	return "calls", 0
}
