package chart

import (
	"bytes"
	"image/png"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func example(lines int) Chart {
	bound := 0.3
	c := Chart{Title: "LatencyHigh function=checkout", Bound: &bound, From: noon.Add(-30 * time.Minute), To: noon, Began: noon.Add(-6 * time.Minute), Location: time.FixedZone("CST", 8*3600)}
	for n := range lines {
		l := Line{Name: "zone=zb-" + string(rune('a'+n)) + " 可用区"}
		for i := range 121 {
			at := c.From.Add(time.Duration(i) * 15 * time.Second)
			v := 0.12 + 0.02*math.Sin(float64(i+n*7)/4)
			if at.After(c.Began.Add(-time.Minute)) && n%2 == 0 {
				v += 0.5 + 0.1*float64(n)
			}
			if i > 50 && i < 60 {
				v = math.NaN()
			}
			l.Points = append(l.Points, Point{at, v})
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

func TestDraw(t *testing.T) {
	inf := math.Inf(1)
	cases := map[string]Chart{
		"one": example(1), "three": example(3), "too-many": example(20),
		"nothing":    {From: noon, To: noon.Add(time.Minute)},
		"infinite":   {Title: strings.Repeat("x", 200), Bound: &inf, From: noon, To: noon.Add(time.Minute), Lines: []Line{{Points: []Point{{noon, inf}, {noon, math.NaN()}}}}},
		"one-point":  {From: noon, To: noon.Add(time.Minute), Lines: []Line{{Points: []Point{{noon, -3}}}}},
		"no-time":    {Lines: []Line{{Points: []Point{{noon, 1e12}}}}},
		"all-equal":  {From: noon, To: noon.Add(time.Minute), Lines: []Line{{Points: []Point{{noon, 0}, {noon.Add(time.Minute), 0}}}}},
		"very-large": {From: noon, To: noon.Add(time.Minute), Lines: []Line{{Points: []Point{{noon, math.MaxFloat64}, {noon.Add(time.Minute), -math.MaxFloat64}}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var b, again bytes.Buffer
			if err := c.Draw(&b); err != nil {
				t.Fatal(err)
			}
			if err := c.Draw(&again); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
				t.Errorf("the same chart looks different, %v", err)
			}
			cfg, err := png.DecodeConfig(&b)
			if err != nil || cfg.Width != Width || cfg.Height != Height {
				t.Errorf("%+v, %v", cfg, err)
			}
			if dir := os.Getenv("KONGDAO_PICTURES"); dir != "" { // to look at
				if err := os.WriteFile(dir+"/chart-"+name+".png", again.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
