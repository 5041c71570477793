package chart

import (
	"image/color"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// latin is s without letters that the fonts do not have, at most so many.
func latin(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) > most {
		return s[:most-2] + ".."
	}
	return s
}

// ticks are the default ones with short numbers: 1.5k, 20M.
type ticks struct{}

// Ticks is what gonum asks for.
func (ticks) Ticks(low, high float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range all {
		if t.Label != "" {
			all[i].Label = short(t.Value)
		}
	}
	return all
}

func short(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.size || v <= -u.size {
			return strconv.FormatFloat(v/u.size, 'g', 4, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// letters are without serifs, which phones blur.
func letters(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
}

// clock has ticks at whole minutes or hours, six or so at most.
type clock struct{ location *time.Location }

// Ticks is what gonum asks for.
func (c clock) Ticks(low, high float64) []plot.Tick {
	from, to := time.Unix(int64(low), 0).In(c.location), time.Unix(int64(high), 0)
	step := 24 * time.Hour
	for _, s := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour} {
		if to.Sub(from)/s <= 6 {
			step = s
			break
		}
	}
	var all []plot.Tick
	y, m, d := from.Date()
	const most = 100 // of a span that no chart has
	for t := time.Date(y, m, d, from.Hour(), 0, 0, 0, c.location); !t.After(to) && len(all) < most; t = t.Add(step) {
		if !t.Before(from) {
			all = append(all, plot.Tick{Value: float64(t.Unix()), Label: t.Format("15:04")})
		}
	}
	return all
}

// swatch is the colour of a curve in the legend.
type swatch struct{ colour color.Color }

// Thumbnail is what gonum asks for.
func (s swatch) Thumbnail(c *draw.Canvas) {
	style := draw.LineStyle{Color: s.colour, Width: vg.Points(2)}
	y := c.Center().Y
	c.StrokeLine2(style, c.Min.X, y, c.Max.X, y)
}
