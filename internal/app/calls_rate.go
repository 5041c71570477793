package app

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"

	client "github.com/kongdao/kongdao/internal/clickhouse"
)

// RateQuery asks how many calls there were over time.
type RateQuery struct {
	CallFilter
	Step string `query:"step" doc:"such as 1m: length of an interval, whole seconds; default: about 60 intervals"`
}

// Rate is the answer to GET /calls/rate: every interval of the range, those without
// calls, too.
type Rate struct {
	StepSeconds int64       `json:"step_s"`
	Points      []RatePoint `json:"points"`
	Source      string      `json:"source" doc:"table that answered"`
	RowsRead    uint64      `json:"rows_read" doc:"rows that ClickHouse read for it"`
}

// RatePoint sums up the calls that began in one interval. The last one may not be
// over.
type RatePoint struct {
	Time      time.Time `json:"t" doc:"start of the interval"`
	PerSecond float64   `json:"per_second"`
	Measures
}

// maxPoints bounds an answer.
const maxPoints = 10_000

// stepOr reads a step, or chooses one.
func stepOr(text string, span time.Duration) (time.Duration, error) {
	if text == "" {
		return stepFor(span), nil
	}
	step, err := time.ParseDuration(text)
	if err != nil || step < time.Second || step%time.Second != 0 {
		return 0, fmt.Errorf("step: is %q, want whole seconds such as 10s or 1m", text)
	}
	if span/step > maxPoints {
		return 0, fmt.Errorf("step: is %q, which makes %d points, want %d at most", text, span/step, maxPoints)
	}
	return step, nil
}

// stepFor is the shortest usual step with about 60 intervals in the span.
func stepFor(span time.Duration) time.Duration {
	const day = 24 * time.Hour
	steps := []time.Duration{
		10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute,
		30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day,
	}
	for _, s := range steps {
		if span <= minIntervals*s {
			return s
		}
	}
	return 7 * day
}

func (s *System) getRate(ctx context.Context, in *RateQuery) (*body[Rate], error) {
	f, err := in.ranged().parse()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	step, err := stepOr(in.Step, f.Until.Sub(f.Since))
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err := s.mayAsk(ctx, f.CallFilter); err != nil {
		return nil, err
	}
	begin := floor(f.Since, step)
	f.Since = begin.Add(-time.Microsecond) // the condition leaves its own moment out
	rate := Rate{StepSeconds: int64(step / time.Second), Points: points(begin, f.Until, step)}
	from := f.sourceFor(step)
	if from.step > 0 {
		f.Since = begin
	}
	rate.Source = from.table
	read, err := s.fillIn(ctx, f, from, rate.Points, step)
	if err != nil {
		return nil, err
	}
	rate.RowsRead = read.Rows
	if !rate.any() {
		if err := s.known(ctx, f.CallFilter); err != nil {
			return nil, err
		}
	}
	return reply(rate), nil
}

func (r Rate) any() bool {
	for _, p := range r.Points {
		if p.Calls > 0 {
			return true
		}
	}
	return false
}

// floor is the start of the interval that holds t. Intervals begin at 1970, so that
// a day is one of UTC and every rollup's are parts of them.
func floor(t time.Time, step time.Duration) time.Time {
	seconds := int64(step / time.Second)
	return time.Unix(t.Unix()/seconds*seconds, 0).UTC()
}

func points(from, until time.Time, step time.Duration) []RatePoint {
	all := []RatePoint{}
	for t := from; !t.After(until); t = t.Add(step) {
		all = append(all, RatePoint{Time: t})
	}
	return all
}

func (s *System) fillIn(ctx context.Context, f parsedFilter, from source, all []RatePoint, step time.Duration) (client.Reading, error) {
	where, moment := from.where(f), "toUnixTimestamp(c.t)"
	if from.step == 0 {
		moment = "intDiv(toUnixTimestamp64Micro(c.ts), 1000000)"
	}
	where.args = append(where.args, clickhouse.Named("step", fmt.Sprint(int64(step/time.Second))))
	sql := "SELECT " + columnsOf("toInt64(intDiv("+moment+", {step:Int64}) * {step:Int64}) AS seconds", from.measures()) +
		"\nFROM " + from.table + " AS c WHERE " + where.String() + "\nGROUP BY seconds"
	type row struct {
		Seconds int64 `ch:"seconds"`
		measured
	}
	return s.question(ctx, sql, where.args, client.Each(func(r row) error {
		i := (r.Seconds - all[0].Time.Unix()) / int64(step/time.Second)
		if i >= 0 && i < int64(len(all)) {
			all[i].Measures = r.measures()
			all[i].PerSecond = float64(r.Calls) / step.Seconds()
		}
		return nil
	}))
}
