package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kongdao/kongdao/loadtest/sketch"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms": ms, "percent": func(x float64) string { return fmt.Sprintf("%.4g %%", 100*x) }, "counts": func(m map[int]uint64) string { return counts(m) },
	"stopped": stoppedBy,
	"errors":  func(m map[string]uint64) string { return counts(m) },
	"bounds": func(b Bounds) string {
		if b.Effective == 0 {
			return ""
		}
		if b.Open {
			return "above " + ms(b.Low)
		}
		return fmt.Sprintf("%.2f–%.2f ms", 1000*b.Low, 1000*b.High)
	},
}).Parse(pageText))

// WriteHTML writes the result as a page with charts, in one file without scripts and
// with nothing to fetch.
func (r Result) WriteHTML(w io.Writer) error {
	data := struct {
		Result
		Charts  []chart
		Bars    template.HTML
		Success float64
		OK      bool
	}{Result: r, Success: r.Success(), OK: r.OK()}
	if len(r.Intervals) > 0 {
		data.Charts = r.charts()
	}
	data.Bars = r.bars()
	return page.Execute(w, data)
}

func (r Result) charts() []chart {
	last := r.Intervals[len(r.Intervals)-1]
	seconds := last.At + last.Length
	var notes []note
	line := func(f func(Interval) (float64, bool)) [][2]float64 {
		var points [][2]float64
		for _, i := range r.Intervals {
			if v, ok := f(i); ok {
				points = append(points, [2]float64{i.At + i.Length/2, v})
			}
		}
		return points
	}
	each := func(f func(Interval) float64) [][2]float64 {
		return line(func(i Interval) (float64, bool) { return f(i), true })
	}
	answered := func(f func(Interval) float64) [][2]float64 {
		return line(func(i Interval) (float64, bool) { return f(i), i.Latency.Count() > 0 })
	}
	for _, i := range r.Intervals {
		notes = append(notes, note{i.At, i.At + i.Length, fmt.Sprintf(
			"%s–%s s\nplanned %d, sent %d, late %d, dropped %d, failed %d\np50 %s, p99 %s, max %s\nlag p99 %s, generator %.0f %% of its cores",
			trim(i.At), trim(i.At+i.Length), i.Planned, i.Sent, i.Late, i.Dropped, i.Failed, ms(i.P50), ms(i.P99), ms(i.Max), ms(i.LagP99), 100*i.CPU)})
	}
	rate := func(n uint64, i Interval) float64 { return float64(n) / i.Length }
	return []chart{
		{Title: "Rate against the plan", Unit: "requests a second", Seconds: seconds, Notes: notes, Series: []series{
			{Name: "planned", Class: "plan", Points: each(func(i Interval) float64 { return rate(i.Planned, i) })},
			{Name: "sent", Class: "a", Points: each(func(i Interval) float64 { return rate(i.Sent, i) })},
		}},
		{Title: "Latency from the planned time", Unit: "ms, logarithmic", Log: true, Seconds: seconds, Notes: notes, Series: []series{
			{Name: "max", Class: "c", Points: answered(func(i Interval) float64 { return 1000 * i.Max })},
			{Name: "p99", Class: "b", Points: answered(func(i Interval) float64 { return 1000 * i.P99 })},
			{Name: "p50", Class: "a", Points: answered(func(i Interval) float64 { return 1000 * i.P50 })},
		}},
		{Title: "Errors", Unit: "requests a second", Seconds: seconds, Notes: notes, Series: []series{
			{Name: "failed", Class: "bad", Area: true, Points: each(func(i Interval) float64 { return rate(i.Failed, i) })},
			{Name: "dropped", Class: "b", Points: each(func(i Interval) float64 { return rate(i.Dropped, i) })},
		}},
		{Title: "The generator: schedule lag", Unit: "ms", Seconds: seconds, Notes: notes, Series: []series{
			{Name: "lag p99", Class: "a", Points: each(func(i Interval) float64 { return 1000 * i.LagP99 })},
			{Name: "longest pause of garbage collection", Class: "c", Points: each(func(i Interval) float64 { return 1000 * i.LongestP })},
		}},
		{Title: "The generator: processor", Unit: "% of its cores", Seconds: seconds, Notes: notes, Series: []series{
			{Name: "this process", Class: "a", Area: true, Points: each(func(i Interval) float64 { return 100 * i.CPU })},
			{Name: "busiest core, everything on it", Class: "plan", Points: each(func(i Interval) float64 { return 100 * i.Core })},
		}},
	}
}

// latencies are those of the whole run as a sketch.
func (r Result) latencies() sketch.Sketch {
	if len(r.Intervals) > 0 {
		var all []sketch.Sketch
		for _, i := range r.Intervals {
			all = append(all, i.Latency)
		}
		return sketch.Merge(all...)
	}
	h, err := hdrhistogram.Decode([]byte(r.Histogram))
	if err != nil {
		return sketch.Sketch{}
	}
	recorder := sketch.NewRecorder()
	for _, b := range h.Distribution() {
		for range min(b.Count, 100_000) {
			recorder.Add(time.Duration(b.From) * time.Microsecond)
		}
	}
	return recorder.Sketch()
}

// perDecade is how many bars a tenfold latency has.
const perDecade = 20

// bars is the histogram over the logarithm of latency.
func (r Result) bars() template.HTML {
	heights := map[int]float64{}
	low, high, most := math.MaxInt, math.MinInt, 0.0
	r.latencies().Bars(func(from, to time.Duration, n uint64) {
		i := int(math.Floor(math.Log10(max(1e-3, ((from+to)/2).Seconds()*1000)) * perDecade))
		heights[i] += float64(n)
		low, high, most = min(low, i), max(high, i), max(most, heights[i])
	})
	if most == 0 {
		return ""
	}
	low, high = low-1, high+2
	x := func(milliseconds float64) float64 {
		return left + (math.Log10(milliseconds)*perDecade-float64(low))/float64(high-low)*(chartWidth-left-right)
	}
	at := func(i int) float64 { return math.Pow(10, float64(i)/perDecade) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="Distribution of latencies">`, chartWidth, chartHeight)
	for i, n := range heights {
		h := max(0.5, n/most*(chartHeight-top-bottom-16))
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%.3g–%.3g ms: %.0f requests</title></rect>`,
			x(at(i))+0.5, chartHeight-bottom-h, max(1, x(at(i+1))-x(at(i))-1), h, at(i), at(i+1), n)
	}
	for d := math.Floor(float64(low) / perDecade); d <= float64(high)/perDecade; d++ {
		steps := []float64{1, 2, 5}
		if high-low > 3*perDecade {
			steps = steps[:1]
		}
		for _, m := range steps {
			if v := m * math.Pow(10, d); v >= at(low) && v <= at(high) {
				fmt.Fprintf(&b, `<text class="axis" x="%.1f" y="%g" text-anchor="middle">%s ms</text>`, x(v), chartHeight-10, number(v))
			}
		}
	}
	for k, p := range []struct {
		name string
		v    float64
	}{{"p50", r.Latency.P50}, {"p90", r.Latency.P90}, {"p99", r.Latency.P99}} {
		at := x(max(1e-3, p.v*1000))
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="axis" x="%.1f" y="%g">%s</text>`,
			at, at, top, chartHeight-bottom, at+3, top+8+float64(k)*12, p.name)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // made here of numbers
}
