package chart

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Chart is what is drawn.
type Chart struct {
	Title    string
	Lines    []Line // the first ones are drawn, see [MaxLines]
	Bound    *float64
	Began    time.Time // a mark; zero: none
	From, To time.Time
	Location *time.Location // of the times shown; nil: UTC
}

// Line is a curve. Points that are not numbers make a gap.
type Line struct {
	Name   string
	Points []Point
}

// Point is a value at a moment.
type Point struct {
	Time  time.Time
	Value float64
}

// MaxLines is how many curves one can tell apart on a phone.
const MaxLines = 6

// Size of the picture in pixels: a phone's chat is about half as wide in points.
const (
	Width  = 720
	Height = 360
)

var colours = [MaxLines]color.RGBA{
	{0x1f, 0x77, 0xb4, 0xff},
	{0xff, 0x7f, 0x0e, 0xff},
	{0x2c, 0xa0, 0x2c, 0xff},
	{0x94, 0x67, 0xbd, 0xff},
	{0x8c, 0x56, 0x4b, 0xff},
	{0x17, 0xbe, 0xcf, 0xff},
}

var red = color.RGBA{0xd6, 0x27, 0x28, 0xff}

// dpi makes letters of 12 points 24 pixels high, of which a phone's chat shows
// about a third.
const dpi = 144

// Draw writes a PNG.
func (c Chart) Draw(w io.Writer) error {
	p := plot.New()
	c.style(p)
	low, high := math.Inf(1), math.Inf(-1)
	for i, l := range c.Lines[:min(len(c.Lines), MaxLines)] {
		for _, part := range parts(l.Points) {
			curve, err := plotter.NewLine(part)
			if err != nil {
				return fmt.Errorf("draw chart: %w", err)
			}
			curve.Color, curve.Width = colours[i], vg.Points(1.6)
			p.Add(curve)
			_, _, lo, hi := plotter.XYRange(part)
			low, high = math.Min(low, lo), math.Max(high, hi)
		}
		if len(c.Lines) > 1 {
			p.Legend.Add(latin(l.Name, 36), swatch{colours[i]})
		}
	}
	if c.Bound != nil && finite(*c.Bound) {
		low, high = math.Min(low, *c.Bound), math.Max(high, *c.Bound)
		if err := c.rule(p, c.From, c.To, *c.Bound, *c.Bound); err != nil {
			return err
		}
	}
	// What an alert is about happens at the end: it must not touch the edge.
	p.X.Min, p.X.Max = seconds(c.From), seconds(c.To.Add(c.To.Sub(c.From)/30))
	p.Y.Min, p.Y.Max = room(low, high)
	if c.Began.After(c.From) && c.Began.Before(c.To) {
		if err := c.rule(p, c.Began, c.Began, p.Y.Min, p.Y.Max); err != nil {
			return err
		}
	}
	img := vgimg.NewWith(vgimg.UseWH(Width*vg.Inch/dpi, Height*vg.Inch/dpi), vgimg.UseDPI(dpi))
	const margin = 5 * vg.Inch / 72
	p.Draw(draw.Crop(draw.NewCanvas(img, Width*vg.Inch/dpi, Height*vg.Inch/dpi), margin, -margin, margin, -margin))
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(w); err != nil {
		return fmt.Errorf("write chart: %w", err)
	}
	return nil
}

func (c Chart) style(p *plot.Plot) {
	p.BackgroundColor = color.White
	p.Title.Text = latin(c.Title, 48)
	p.Title.TextStyle.Font = letters(14)
	p.Title.Padding = vg.Points(4)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font = letters(11)
	p.Legend.Padding, p.Legend.XOffs = vg.Points(2), vg.Points(4)
	loc := c.Location
	if loc == nil {
		loc = time.UTC
	}
	p.X.Tick.Marker = clock{loc}
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font = letters(12), letters(12)
	p.Y.Tick.Marker = ticks{}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xe6}, color.Gray{0xe6}
	p.Add(grid)
}

// rule is a dashed red line.
func (c Chart) rule(p *plot.Plot, from, to time.Time, low, high float64) error {
	l, err := plotter.NewLine(plotter.XYs{{X: seconds(from), Y: low}, {X: seconds(to), Y: high}})
	if err != nil {
		return fmt.Errorf("draw chart: %w", err)
	}
	l.Color, l.Width, l.Dashes = red, vg.Points(1), []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(l)
	return nil
}

// parts cuts a curve where it has no value.
func parts(points []Point) []plotter.XYs {
	var all []plotter.XYs
	var cur plotter.XYs
	for _, pt := range points {
		if !finite(pt.Value) {
			if len(cur) > 0 {
				all = append(all, cur)
			}
			cur = nil
			continue
		}
		cur = append(cur, plotter.XY{X: seconds(pt.Time), Y: pt.Value})
	}
	if len(cur) > 0 {
		all = append(all, cur)
	}
	return all
}

// room is a range that holds low and high with some space, from 0 where nothing is
// below: a step of one percent must not look like a cliff.
func room(low, high float64) (float64, float64) {
	if low > high { // there is nothing
		return 0, 1
	}
	if low >= 0 {
		low = 0
	}
	space := (high - low) * 0.08
	if space == 0 {
		space = 0.5
	}
	if low < 0 {
		low -= space
	}
	return low, high + space
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
