package scenario

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Hosts are those that the plan sends to, in the order of the scenario; one that
// comes out of a template is "{{…}}".
func (p Plan) Hosts() []string {
	var out []string
	for _, s := range p.Scenarios {
		for _, r := range s.unit.Requests {
			if h := r.Host(); !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	return out
}

// WriteText writes the plan for people: its figures, what is sent, and the rate over
// time as a chart.
func (p Plan) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	about := ""
	if p.random() {
		about = "about "
	}
	row("requests", "%s%d in %v, at most %g/s of %g/s allowed", about, p.Total(), p.Duration(), round(p.MaxRate()), p.limits.MaxRate)
	row("in flight", "%d at most, %v each", p.Workers, p.Timeout)
	if d := p.CanaryPhase(); d > 0 {
		row("first", "%v at %.4g/s", d, p.Canary(d, 1).Rate)
	}
	row("bytes", "%v at most, received and sent", api.Size(p.MaxBytes()))
	row("hosts", "%s", strings.Join(p.Hosts(), ", "))
	for i, name := range p.scope.Feeds() {
		d := p.spec.Data[name]
		order := d.Order
		if order == "" {
			order = "sequential"
		}
		row("data "+name, "%s, %s, columns %s", d.File, order, orNone(p.scope.Columns(i)))
	}
	for _, s := range p.Scenarios {
		p.partRow(row, s)
	}
	for _, x := range p.Thresholds {
		row("threshold", "%s", x)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return p.writeChart(w)
}

func orNone(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func (p Plan) random() bool {
	return p.Poisson && len(p.Stages) > 0 || slices.ContainsFunc(p.Scenarios, func(s Part) bool { return s.Poisson })
}

func (p Plan) partRow(row func(name, format string, args ...any), s Part) {
	var names []string
	for _, r := range s.unit.Requests {
		names = append(names, r.Name)
	}
	how := "in turn: " + strings.Join(names, ", ")
	if s.unit.Steps {
		how = "one after the other: " + strings.Join(names, " → ")
	}
	switch {
	case s.Name == "":
		row("sends", "%s", how)
	case s.Share > 0:
		row("scenario "+s.Name, "%.4g%%, %s", 100*s.Share, how)
	default:
		row("scenario "+s.Name, "%v from %v on, %s", s.Stages.Duration(), s.Start, how)
	}
}

const (
	chartWidth  = 64
	chartHeight = 8
)

// writeChart draws the rate of requests over time, the highest of each column.
func (p Plan) writeChart(w io.Writer) error {
	const samples = 16 // of a column
	var columns [chartWidth]float64
	highest := 0.0
	d := p.Duration()
	for i := range chartWidth * samples {
		at := time.Duration(float64(i) / (chartWidth*samples - 1) * float64(d-1)) // both ends are in it
		columns[i/samples] = max(columns[i/samples], p.Rate(at))
		highest = max(highest, columns[i/samples])
	}
	if highest == 0 {
		return nil
	}
	var b strings.Builder
	bars := []rune(" ▁▂▃▄▅▆▇█")
	for line := chartHeight - 1; line >= 0; line-- {
		label := ""
		if line == chartHeight-1 {
			label = fmt.Sprintf("%.4g/s", highest)
		}
		fmt.Fprintf(&b, "%10s ┤", label)
		for _, v := range columns {
			eighths := int(v/highest*chartHeight*8+0.5) - 8*line
			b.WriteRune(bars[max(0, min(8, eighths))])
		}
		b.WriteByte('\n')
	}
	end := d.Round(time.Millisecond).String()
	fmt.Fprintf(&b, "%10s └%s\n%11s0%s%s\n", "0", strings.Repeat("─", chartWidth), "", strings.Repeat(" ", max(1, chartWidth-len(end))), end)
	_, err := io.WriteString(w, b.String())
	return err
}

func round(rate float64) float64 { return float64(int64(rate*1000+0.5)) / 1000 }

// Summary is the plan for programs.
type Summary struct {
	Requests  uint64        `json:"requests"` // of Poisson arrivals the mean
	Seconds   float64       `json:"duration_s"`
	MaxRate   float64       `json:"max_rate"` // requests a second, steps included
	Workers   int           `json:"workers"`
	Hosts     []string      `json:"hosts"`
	Scenarios []SummaryPart `json:"scenarios"`
	Caps      SummaryCaps   `json:"caps"`
	Points    []Point       `json:"rate"` // over time
}

// SummaryPart is one scenario.
type SummaryPart struct {
	Name    string   `json:"name,omitempty"`
	Share   float64  `json:"share,omitempty"` // of the shared stages, 0 to 1
	Start   float64  `json:"start_s,omitempty"`
	Steps   bool     `json:"steps"`
	Targets []string `json:"targets"`
}

// SummaryCaps are what the plan may do at most.
type SummaryCaps struct {
	MaxRate     float64 `json:"max_rate"`
	MaxTotal    uint64  `json:"max_requests"`
	MaxSeconds  float64 `json:"max_duration_s"`
	MaxInFlight int     `json:"max_in_flight"`
}

// Point is the planned rate at a time.
type Point struct {
	At   float64 `json:"at_s"`
	Rate float64 `json:"rate"`
}

// Summary is the plan for programs.
func (p Plan) Summary() Summary {
	l := p.limits
	s := Summary{
		Requests: p.Total(), Seconds: p.Duration().Seconds(), MaxRate: round(p.MaxRate()), Workers: p.Workers, Hosts: p.Hosts(),
		Caps: SummaryCaps{l.MaxRate, l.MaxTotal, l.MaxDuration.Seconds(), l.MaxInFlight},
	}
	for _, part := range p.Scenarios {
		x := SummaryPart{Name: part.Name, Share: part.Share, Start: part.Start.Seconds(), Steps: part.unit.Steps}
		for _, r := range part.unit.Requests {
			x.Targets = append(x.Targets, r.Name)
		}
		s.Scenarios = append(s.Scenarios, x)
	}
	for i := range chartWidth {
		at := p.Duration() * time.Duration(2*i+1) / (2 * chartWidth)
		s.Points = append(s.Points, Point{round(at.Seconds()), round(p.Rate(at))})
	}
	return s
}
