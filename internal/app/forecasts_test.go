package app

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/plan"
	"github.com/kongdao/kongdao/internal/config"
)

// traffic fills the rollups with what calls of the past would have made of them:
// "feed" has a day and a week, its busiest minute has twice the rate of its hour,
// and is called ten times as much in a promotion; "new" has been there for 30 hours.
// Stress tests of both count for nothing, and for six hours nothing was stored.
const traffic = `INSERT INTO calls_1h (t, tenant, function, load_test, calls)
WITH toStartOfHour(now()) AS hour,
	number AS back,
	hour - 3600 * back AS at,
	toUInt64(3600 * 100 * (1.5 + sin(2 * pi() * toHour(at, 'UTC') / 24)) * if(toDayOfWeek(at, 0, 'UTC') > 5, 0.5, 1)) AS usual,
	toDate(at, 'UTC') IN (toDate({promotion:String})) AS promoted
SELECT at, 'recommend', f.1, f.2, multiIf(f.2, 100000000, f.1 = 'new', 360, promoted, 10 * usual, usual)
FROM numbers(1, 56 * 24) ARRAY JOIN [('feed', false), ('feed', true), ('new', false)] AS f
WHERE (f.1 = 'feed' OR back <= 30) AND NOT (back BETWEEN 200 AND 205)`

const minutes = `INSERT INTO calls_1m (t, tenant, function, load_test, calls)
SELECT toStartOfHour(now()) - 60 * number, 'recommend', 'feed', f, multiIf(f, 1000000, number % 60 = 30, 11800, 5800)
FROM numbers(1, 14 * 1440) ARRAY JOIN [false, true] AS f`

func TestForecastsOfStoredCalls(t *testing.T) {
	s, ctx := asked(t)
	s.cfg = config.Default()
	const day = 24 * time.Hour
	today := time.Now().UTC().Truncate(day)
	promoted := today.Add(-20 * day)
	for _, sql := range []string{strings.ReplaceAll(traffic, "{promotion:String}", "'"+promoted.Format(time.DateOnly)+"'"), minutes} {
		if err := s.ch.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	s.cfg.Capacity.TimeZone = "UTC"
	s.cfg.Capacity.Events = []config.Event{{Name: "promotion", Dates: []string{promoted.Format(time.DateOnly), today.Add(3 * day).Format(time.DateOnly)}, Days: 1}}
	all, err := s.foresee(ctx, 7*day, nil)
	if err != nil {
		t.Fatal(err)
	}
	feed := all["feed"]
	if feed.err != nil || strings.Join(feed.Seasons, " ") != "daily weekly" || math.Abs(feed.burst-2) > 0.05 {
		t.Fatalf("%v %v, burst %.2f", feed.err, feed.Seasons, feed.burst)
	}
	if !strings.Contains(strings.Join(feed.Notes, "\n"), "6 hours of the history unknown") {
		t.Errorf("the gap is not noted: %q", feed.Notes)
	}
	day3 := today.Add(3 * day)
	want := 100 * 2.5 * 10.0
	if wd := day3.Weekday(); wd == time.Saturday || wd == time.Sunday {
		want /= 2
	}
	peak, at := feed.Peak(0.5)
	if math.Abs(peak-want) > 0.1*want || at.Before(day3) || !at.Before(day3.Add(day)) {
		t.Errorf("the peak is %.0f/s at %s, want about %.0f/s at the promotion, %+v", peak, at, want, feed.Events)
	}
	if mean := feed.series.Mean(week); mean < 50 || mean > 300 {
		t.Errorf("stress tests are in the mean of %.0f/s", mean)
	}
	if young := all["new"]; young.err == nil || young.why() != "no forecast: 30 hours of history is too little" {
		t.Errorf("%v", young.err)
	}

	ordinary, err := s.foresee(ctx, 7*day, []string{"promotion"})
	if err != nil {
		t.Fatal(err)
	}
	if peak, _ := ordinary["feed"].Peak(0.5); math.Abs(peak-250) > 25 {
		t.Errorf("without the promotion the peak is %.0f/s, want about 250/s", peak)
	}

	if err := s.ch.Exec(ctx, "TRUNCATE TABLE calls_1h"); err != nil {
		t.Fatal(err)
	}
	again, err := s.foresee(ctx, 7*day, nil)
	if hour := time.Now().Truncate(time.Hour); err != nil || hour.Equal(s.forecasts.hour) && len(again) != len(all) {
		t.Errorf("the same question was asked of ClickHouse again: %d functions, %v", len(again), err)
	}
	assumes(t, all)
}

// assumes wants the larger of the two peaks in the plan, and both in its inputs.
func assumes(t *testing.T, all map[string]foreseen) {
	t.Helper()
	f := &api.Function{}
	f.Name = "feed"
	f.Spec.Capacity = api.Capacity{PerPodQPS: 300, Forecast: 100, Measured: &api.Measured{Date: "2026-11-01", Low: 310}}
	p := plan.DefaultPolicy("zb-a", "zb-b")
	p.Risk = 0.01
	x := planned(f, p, all, nil)
	byForecast, text := all["feed"].text(0.01)
	if x.PeakQPS != byForecast || !x.Inputs[1].Used || x.Inputs[0].Used || x.Inputs[0].Source != plan.SourceDeclared || x.Inputs[1].Source != plan.SourceForecast {
		t.Errorf("%+v", x)
	}
	for _, part := range []string{"with risk 0.01", "times that in its busiest minute", "sMAPE", "event promotion", "learned"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %q", part, text)
		}
	}
	for _, risk := range []float64{0.3, 0.05, 0.001} { // less risk, never a lower peak
		q := p
		q.Risk = risk
		if y := planned(f, q, all, nil); (y.PeakQPS < x.PeakQPS) != (risk > p.Risk) {
			t.Errorf("risk %g: %.1f/s, risk %g: %.1f/s", risk, y.PeakQPS, p.Risk, x.PeakQPS)
		}
	}
	f.Spec.Capacity.Forecast = 1e6
	if x := planned(f, p, all, nil); x.PeakQPS != 1e6 || !x.Inputs[0].Used {
		t.Errorf("%+v", x)
	}
	if x := planned(f, p, nil, nil); x.PeakQPS != 1e6 || x.MeanKnown {
		t.Errorf("without stored calls: %+v", x)
	}
	if in := x.Inputs[2]; in.Name != "safe_rate" || in.Source != plan.SourceMeasured || in.Date != "2026-11-01" {
		t.Errorf("%+v", in)
	}
}

func TestParseHorizon(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "14d": 336 * time.Hour, "48h": 48 * time.Hour, "0.5d": 12 * time.Hour} {
		if d, err := ParseHorizon(text); err != nil || d != want {
			t.Errorf("%q: %s %v", text, d, err)
		}
	}
	for _, text := range []string{"d", "14", "1m", "91d", "-1d", "1e9d", "NaNd"} {
		if _, err := ParseHorizon(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}
