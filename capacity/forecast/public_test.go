package forecast_test

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/forecast"
)

// passengers are the thousands of airline passengers a month from 1949 to 1960 of
// Box and Jenkins, Time Series Analysis (1970), series G.
func passengers() []float64 {
	return []float64{
		112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118,
		115, 126, 141, 135, 125, 149, 170, 170, 158, 133, 114, 140,
		145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166,
		171, 180, 193, 181, 183, 218, 230, 242, 209, 191, 172, 194,
		196, 196, 236, 235, 229, 243, 264, 272, 237, 211, 180, 201,
		204, 188, 235, 227, 234, 264, 302, 293, 259, 229, 203, 229,
		242, 233, 267, 269, 270, 315, 364, 347, 312, 274, 237, 278,
		284, 277, 317, 313, 318, 374, 413, 405, 355, 306, 271, 306,
		315, 301, 356, 348, 355, 422, 465, 467, 404, 347, 305, 336,
		340, 318, 362, 348, 363, 435, 491, 505, 404, 359, 310, 337,
		360, 342, 406, 396, 420, 472, 548, 559, 463, 407, 362, 405,
		417, 391, 419, 461, 472, 535, 622, 606, 508, 461, 390, 432,
	}
}

// public is a series that anybody can have. A step is taken for an hour.
type public struct {
	name, file    string // of KONGDAO_SERIES; empty: values
	values        []float64
	column        int
	seasons       []int // in steps
	ahead, trials int   // steps forecast, and how often
	start         time.Time
	zone          string
}

// melbourne is where the electricity of a series was used, by half-hours.
const melbourne = "Australia/Melbourne"

// series is one without values, and the place whose clocks it goes by.
func (p public) series(tb testing.TB) (forecast.Series, *time.Location) {
	tb.Helper()
	if p.zone == "" {
		return forecast.Series{Start: monday, Step: time.Hour}, nil
	}
	where, err := time.LoadLocation(p.zone)
	if err != nil {
		tb.Fatal(err)
	}
	return forecast.Series{Start: p.start, Step: 30 * time.Minute}, where
}

// publics are series with one and two seasons. Those of files are in the R packages
// forecast and fpp2, whose licence is not this repository's.
func publics() []public {
	return []public{
		{name: "passengers/year", values: passengers(), seasons: []int{12}, ahead: 12, trials: 7},
		{name: "taylor/day", file: "taylor.csv", column: 1, seasons: []int{48, 336}, ahead: 48, trials: 20},
		{name: "taylor/week", file: "taylor.csv", column: 1, seasons: []int{48, 336}, ahead: 336, trials: 5},
		{name: "elecdemand/day", file: "elecdemand.csv", column: 1, seasons: []int{48, 336}, ahead: 48, trials: 30, start: time.Date(2013, 12, 31, 14, 0, 0, 0, time.UTC), zone: melbourne},
		{name: "elecdemand/week", file: "elecdemand.csv", column: 1, seasons: []int{48, 336}, ahead: 336, trials: 20, start: time.Date(2013, 12, 31, 14, 0, 0, 0, time.UTC), zone: melbourne},
		{name: "hyndsight/fortnight", file: "hyndsight.csv", column: 2, seasons: []int{7}, ahead: 14, trials: 15},
		{name: "calls/day", file: "calls.csv", column: 1, seasons: []int{169, 845}, ahead: 169, trials: 10},
	}
}

// compared are sums of errors; above is how often the peak was above the one planned
// for with a risk of 5 %.
type compared struct{ ours, naive, short, said, covered, above, n float64 }

// trial forecasts what came after a history.
func (c *compared) trial(tb testing.TB, p public, history, future []float64) {
	tb.Helper()
	series, zone := p.series(tb)
	o := forecast.Options{Horizon: time.Duration(len(future)) * series.Step, Zone: zone}
	seasons := p.seasons
	for _, s := range seasons {
		o.Seasons = append(o.Seasons, forecast.Season{Name: strconv.Itoa(s), Length: time.Duration(s) * series.Step})
	}
	series.Values = history
	f, err := forecast.Make(series, o)
	if err != nil {
		tb.Fatal(err)
	}
	again := func(season int) (v []float64) {
		for h := range future {
			v = append(v, history[len(history)-season+h%season])
		}
		return v
	}
	c.ours += smape(future, f.Point)
	c.naive += smape(future, again(seasons[len(seasons)-1]))
	c.short += smape(future, again(seasons[0]))
	c.said += f.Accuracy.SMAPE
	for h, v := range future {
		if low, high := f.Interval(h, 0.9); low <= v && v <= high {
			c.covered += 1 / float64(len(future))
		}
	}
	if peak, _ := f.Peak(0.05); slices.Max(future) > peak {
		c.above++
	}
	c.n++
}

func smape(actual, said []float64) (sum float64) {
	for h, a := range actual {
		if d := a + said[h]; d > 0 {
			sum += 2 * math.Abs(a-said[h]) / d / float64(len(actual))
		}
	}
	return sum
}

// run is a rolling origin over the end of the series.
func (p public) run(tb testing.TB) (c compared) {
	tb.Helper()
	for k := p.trials; k > 0; k-- {
		origin := len(p.values) - k*p.ahead
		c.trial(tb, p, p.values[:origin], p.values[origin:origin+p.ahead])
	}
	return c
}

func (c compared) report(b *testing.B) {
	b.ReportMetric(100*c.ours/c.n, "sMAPE-%")
	b.ReportMetric(100*c.said/c.n, "said-%")
	b.ReportMetric(100*c.naive/c.n, "naive-%")
	b.ReportMetric(100*c.short/c.n, "naive-short-%")
	b.ReportMetric(100*(1-c.ours/c.naive), "better-%")
	b.ReportMetric(100*(1-c.ours/math.Min(c.naive, c.short)), "better-than-both-%")
	b.ReportMetric(100*c.covered/c.n, "in-90%-interval-%")
	b.ReportMetric(100*c.above/c.n, "above-5%-risk-%")
	b.ReportMetric(0, "ns/op")
}

func TestPublicSeriesIsForecastBetterThanBySeasonalNaive(t *testing.T) {
	c := publics()[0].run(t)
	if better := 1 - c.ours/c.naive; better < 0.2 {
		t.Errorf("sMAPE %.4f, seasonal naive %.4f: better by %.0f %%, want 20 %%", c.ours/c.n, c.naive/c.n, 100*better)
	}
}

// BenchmarkPublicSeries compares with the value one longest season ago (better-%), and
// with the season that turned out to be better at it (better-than-both-%), on the series
// that are here and on those in $KONGDAO_SERIES. Ways to forecast were tried on earlier
// years and days of these series and on every fourth of M4, on taylor never.
func BenchmarkPublicSeries(b *testing.B) {
	for _, p := range publics() {
		b.Run(p.name, func(b *testing.B) {
			if p.file != "" {
				p.values = column(b, p.file, p.column)
			}
			var c compared
			for range b.N {
				c = p.run(b)
			}
			c.report(b)
		})
	}
	b.Run("M4 hourly", func(b *testing.B) {
		train, test := rows(b, "m4-hourly-train.csv"), rows(b, "m4-hourly-test.csv")
		var c compared
		for range b.N {
			c = compared{}
			for i := range train {
				c.trial(b, public{seasons: []int{24, 168}}, train[i], test[i])
			}
		}
		c.report(b)
	})
}

// BenchmarkMake is the time of one function's forecast: ten weeks of hours, two
// weeks ahead.
func BenchmarkMake(b *testing.B) {
	s := observed(1, 70*24, 0.1, law(0.02))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := forecast.Make(s, forecast.Options{Horizon: 14 * day}); err != nil {
			b.Fatal(err)
		}
	}
}

// column reads numbers of a CSV file with a header.
func column(tb testing.TB, name string, at int) (v []float64) {
	tb.Helper()
	for _, r := range read(tb, name) {
		x, err := strconv.ParseFloat(r[at], 64)
		if err != nil {
			tb.Fatal(err)
		}
		v = append(v, x)
	}
	return v
}

// rows reads the series of a file, one a line after its name.
func rows(tb testing.TB, name string) (all [][]float64) {
	tb.Helper()
	for _, r := range read(tb, name) {
		var v []float64
		for _, text := range r[1:] {
			if x, err := strconv.ParseFloat(text, 64); err == nil { // the rest of shorter ones is empty
				v = append(v, x)
			}
		}
		all = append(all, v)
	}
	return all
}

func read(tb testing.TB, name string) [][]string {
	tb.Helper()
	dir := os.Getenv("KONGDAO_SERIES")
	if dir == "" {
		tb.Skip("KONGDAO_SERIES names no directory with public series")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		tb.Skip(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	all, err := r.ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	return all[1:]
}
