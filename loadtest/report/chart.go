package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// chart is lines over time as SVG. Its colours are classes, so that the page may
// choose them for light and dark.
type chart struct {
	Title, Unit string
	Log         bool // vertical axis
	Series      []series
	Seconds     float64 // length of the horizontal axis
	Notes       []note  // one for each interval
}

type series struct {
	Name   string
	Class  string // of CSS: plan, a, b, c, bad
	Points [][2]float64
	Area   bool // filled down to the axis
}

// note is what a stretch of time says when it is pointed at.
type note struct {
	From, To float64
	Text     string
}

const (
	chartWidth, chartHeight = 860.0, 230.0
	left, right             = 62.0, 12.0
	top, bottom             = 12.0, 30.0
)

func (c chart) SVG() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, chartWidth, chartHeight, html.EscapeString(c.Title))
	low, high := c.span()
	y := func(v float64) float64 {
		if c.Log {
			v, l, h := math.Log(max(v, low)), math.Log(low), math.Log(high)
			return chartHeight - bottom - (v-l)/(h-l)*(chartHeight-top-bottom)
		}
		return chartHeight - bottom - v/high*(chartHeight-top-bottom)
	}
	x := func(s float64) float64 { return left + s/c.Seconds*(chartWidth-left-right) }
	for _, v := range c.ticks(low, high) {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="axis" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, chartWidth-right, y(v), y(v), left-6, y(v)+4, number(v))
	}
	for _, s := range nice(c.Seconds, 8) {
		fmt.Fprintf(&b, `<text class="axis" x="%.1f" y="%g" text-anchor="middle">%s s</text>`, x(s), chartHeight-10, number(s))
	}
	for _, s := range c.Series {
		s.draw(&b, x, y, chartHeight-bottom)
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, `<rect class="hit" x="%.1f" y="%g" width="%.1f" height="%g"><title>%s</title></rect>`,
			x(n.From), top, max(1, x(n.To)-x(n.From)), chartHeight-top-bottom, html.EscapeString(n.Text))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // made here of numbers and escaped text
}

func (s series) draw(b *strings.Builder, x, y func(float64) float64, floor float64) {
	if len(s.Points) == 0 {
		return
	}
	var path strings.Builder
	for i, p := range s.Points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, x(p[0]), y(p[1]))
	}
	if s.Area {
		fmt.Fprintf(b, `<path class="area %s" d="%sL%.1f %.1fL%.1f %.1fZ"/>`, s.Class, path.String(),
			x(s.Points[len(s.Points)-1][0]), floor, x(s.Points[0][0]), floor)
	}
	fmt.Fprintf(b, `<path class="line %s" d="%s"/>`, s.Class, path.String())
	if len(s.Points) == 1 {
		fmt.Fprintf(b, `<circle class="line %s" cx="%.1f" cy="%.1f" r="2"/>`, s.Class, x(s.Points[0][0]), y(s.Points[0][1]))
	}
}

// span is the range of the vertical axis.
func (c chart) span() (low, high float64) {
	low, high = math.Inf(1), 0
	for _, s := range c.Series {
		for _, p := range s.Points {
			high = max(high, p[1])
			if p[1] > 0 {
				low = min(low, p[1])
			}
		}
	}
	if high <= 0 {
		return 0.1, 1
	}
	if !c.Log {
		return 0, high * 1.08
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), high*1.2
	return low, max(high, low*10)
}

func (c chart) ticks(low, high float64) []float64 {
	if !c.Log {
		return nice(high, 5)
	}
	var all []float64
	steps := []float64{1, 2, 5}
	if high/low > 1000 {
		steps = steps[:1]
	}
	for d := low; d <= high; d *= 10 {
		for _, s := range steps {
			if d*s <= high {
				all = append(all, d*s)
			}
		}
	}
	return all
}

// nice are round numbers from 0 to high, about n of them.
func nice(high float64, n int) []float64 {
	if high <= 0 || math.IsInf(high, 0) || math.IsNaN(high) {
		return []float64{0}
	}
	step := math.Pow(10, math.Floor(math.Log10(high/float64(n))))
	for _, f := range []float64{2, 2.5, 2} { // 1, 2, 5, 10
		if high/step <= float64(n) {
			break
		}
		step *= f
	}
	var all []float64
	for i := 0.0; i*step <= high*1.0001; i++ {
		all = append(all, i*step)
	}
	return all
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
