package demo

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Page is the report as one file: no scripts, nothing to fetch.
func (r Report) Page() ([]byte, error) {
	type step struct {
		Step
		SVG []template.HTML
	}
	var steps []step
	for _, s := range r.Steps {
		v := step{Step: s}
		for _, c := range s.Charts {
			svg, err := c.svg()
			if err != nil {
				return nil, fmt.Errorf("draw %s: %w", c.Title, err)
			}
			v.SVG = append(v.SVG, svg)
		}
		steps = append(steps, v)
	}
	var out bytes.Buffer
	err := page.Execute(&out, map[string]any{"Report": r, "Steps": steps})
	return out.Bytes(), err
}

// palette is readable on white and told apart by those who see no red or green.
var palette = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff},
	color.RGBA{0xd5, 0x5e, 0x00, 0xff},
	color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff},
	color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	color.RGBA{0x00, 0x00, 0x00, 0xff},
}

func (c Chart) svg() (template.HTML, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "seconds", c.YLabel
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for i, s := range c.Series {
		points := make(plotter.XYs, len(s.Points))
		for j, pt := range s.Points {
			points[j] = plotter.XY{X: pt.X, Y: pt.Y}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return "", err
		}
		line.Color, line.Width = palette[i%len(palette)], vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(s.Name, line)
	}
	p.Y.Max *= 1.6 // room for the legend
	canvas := vgsvg.New(20*vg.Centimeter, 7*vg.Centimeter)
	p.Draw(draw.New(canvas))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", err
	}
	text := out.String()
	return template.HTML(text[strings.Index(text, "<svg"):]), nil //nolint:gosec // drawn here from numbers
}

var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>KongDao: the loop</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{margin-bottom:0}h2{margin-top:2.2rem;border-bottom:1px solid #d8dee4}
.ok{color:#00695c}.missed{color:#b3261e}
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.2rem .9rem .2rem 0;text-align:left;vertical-align:top}
th{font-weight:600}td.text{font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}pre{background:#f6f8fa;padding:.8rem;overflow-x:auto;font-size:13px}small{color:#57606a}
</style></head><body>
<h1>KongDao: the loop</h1>
<small>{{.Report.Started.Format "2006-01-02 15:04:05"}}, {{printf "%.0f" .Report.Seconds}} s, version {{.Report.Version}}, data in {{.Report.Data}}</small>
<p>{{if .Report.OK}}<b class="ok">Every step showed what it must.</b>{{else}}<b class="missed">Missed: {{range .Report.Missed}}{{.}} {{end}}</b>{{end}}</p>
{{range .Steps}}<h2>{{.Title}} <small class="{{if .OK}}ok{{else}}missed{{end}}">{{if .OK}}ok{{else}}missed{{end}}, {{printf "%.1f" .Seconds}} s</small></h2>
{{range .Missed}}<p class="missed">{{.}}</p>{{end}}
<table>{{range .Figures}}<tr><th>{{.Name}}</th><td class="text">{{.Text}}</td></tr>{{end}}</table>
{{with .Table}}<table><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr>{{range .Rows}}<tr>{{range .}}<td class="text">{{.}}</td>{{end}}</tr>{{end}}</table>{{end}}
{{with .Details}}<table><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr>{{range .Rows}}<tr>{{range .}}<td class="text">{{.}}</td>{{end}}</tr>{{end}}</table>{{end}}
{{range .SVG}}{{.}}{{end}}
{{with .Text}}<pre>{{.}}</pre>{{end}}
{{end}}</body></html>
`))
