package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kongdao/kongdao/capacity/forecast"
)

// History is what stored calls say of a function's rate.
type history struct {
	series forecast.Series // mean of each hour; gaps where nothing at all was stored
	burst  float64         // busiest minute of busy hours against their mean, 1 or above
}

// How far back rates are read: for seasons, and to learn from earlier dates of
// events, which is as far as hours are kept.
const (
	historySeasons = 70 * 24 * time.Hour
	historyEvents  = 390 * 24 * time.Hour
	historyBurst   = 14 * 24 * time.Hour
)

// histories reads the rates of all functions, load tests left out, up to the last
// whole hour before now. Calls that a limit refused are in them: they were wanted.
func (s *System) histories(ctx context.Context, now time.Time, back time.Duration) (map[string]history, error) {
	if s.ch == nil {
		return nil, errors.New("this process has no ClickHouse")
	}
	end := now.Truncate(time.Hour)
	begin := end.Add(-back)
	hours := int(back / time.Hour)
	found := map[string][]float64{}
	anything := make([]bool, hours)
	err := s.eachRate(ctx, `SELECT function, toInt64(toUnixTimestamp(t)), toFloat64(sum(calls)) FROM calls_1h
		WHERE NOT load_test AND t >= toDateTime(?) AND t < toDateTime(?) GROUP BY function, t`, begin, end, func(function string, at time.Time, calls float64) {
		if i := int(at.Sub(begin) / time.Hour); i >= 0 && i < hours {
			if found[function] == nil {
				found[function] = make([]float64, hours)
			}
			found[function][i] += calls / time.Hour.Seconds()
			anything[i] = anything[i] || calls > 0
		}
	})
	if err != nil {
		return nil, err
	}
	bursts, err := s.bursts(ctx, end)
	if err != nil {
		return nil, err
	}
	all := map[string]history{}
	for name, values := range found {
		first := slices.IndexFunc(values, func(v float64) bool { return v > 0 })
		for i := range values {
			if i < first || !anything[i] {
				values[i] = math.NaN() // before its first call, or nobody was there to store one
			}
		}
		all[name] = history{series: forecast.Series{Start: begin, Step: time.Hour, Values: values}, burst: max(1, bursts[name])}
	}
	return all, nil
}

// bursts are how many times the rate of a busy hour its busiest minute has: the
// 95th percentile over the busier half of each function's hours of late.
func (s *System) bursts(ctx context.Context, end time.Time) (map[string]float64, error) {
	all := map[string]float64{}
	err := s.eachRate(ctx, `SELECT function, toInt64(0), quantileExact(0.95)(burst) FROM (
		SELECT function, hour, 60 * max(calls) / sum(calls) AS burst, sum(calls) AS n,
			median(n) OVER (PARTITION BY function) AS usual
		FROM (SELECT function, t, toStartOfHour(t) AS hour, toFloat64(sum(calls)) AS calls FROM calls_1m
			WHERE NOT load_test AND t >= toDateTime(?) AND t < toDateTime(?) GROUP BY function, t)
		GROUP BY function, hour) WHERE n >= usual GROUP BY function`, end.Add(-historyBurst), end,
		func(function string, _ time.Time, burst float64) { all[function] = burst })
	return all, err
}

func (s *System) eachRate(ctx context.Context, sql string, begin, end time.Time, use func(function string, at time.Time, v float64)) error {
	rows, err := s.ch.Query(ctx, sql, begin.Unix(), end.Unix())
	if err != nil {
		return fmt.Errorf("read rates: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var at int64
		var v float64
		if err := rows.Scan(&name, &at, &v); err != nil {
			return fmt.Errorf("read rates: %w", err)
		}
		use(name, time.Unix(at, 0), v)
	}
	return rows.Err()
}
