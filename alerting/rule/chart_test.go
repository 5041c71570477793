package rule

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

func TestWhatIsDrawn(t *testing.T) {
	bound := func(v float64) *float64 { return &v }
	cases := map[string]struct {
		want  string
		bound *float64
	}{
		`up == 0`:                                {`up`, bound(0)},
		`(rate(x[1m]) > -(2 * 3)) and on () y`:   {`rate(x[1m])`, bound(-6)},
		`5 < sum by (a) (x)`:                     {`sum by (a) (x)`, bound(5)},
		`a / b > c / d`:                          {`a / b`, nil},
		`absent(x)`:                              {`absent(x)`, nil},
		`(a > 1 unless b > 0) and on () sum(a)`:  {`a`, bound(1)},
		`a > bool 1`:                             {`a > bool 1`, nil},
		`(x or y) > 14.5 * (1 - 0.5)`:            {`(x or y)`, bound(14.5 * (1 - 0.5))},
		`max_over_time(x[5m:10s]) >= ((8)) or z`: {`max_over_time(x[5m:10s])`, bound(8)},
	}
	p := parser.NewParser(parser.Options{})
	for expr, c := range cases {
		e, err := p.ParseExpr(expr)
		if err != nil {
			t.Fatal(err)
		}
		got, b := drawn(e)
		if got.String() != c.want || (b == nil) != (c.bound == nil) || b != nil && *b != *c.bound {
			t.Errorf("of %s: %s and %v, want %s and %v", expr, got, b, c.want, c.bound)
		}
	}
}

// Every shipped rule has something to draw that the engine takes.
func TestShippedRulesCanBeDrawn(t *testing.T) {
	texts := newTexts()
	for name, text := range Pack() {
		groups, err := texts.read(text)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				e, err := texts.parser.ParseExpr(r.Expr)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := drawn(e)
				if again, err := texts.parser.ParseExpr(got.String()); err != nil || again.Type() != parser.ValueTypeVector && again.Type() != parser.ValueTypeScalar {
					t.Errorf("%s %s: %s, %v", name, r.Alert, got, err)
				}
			}
		}
	}
}

func TestCurvesOfAnAlert(t *testing.T) {
	of := map[string]string{"function": "feed", "severity": "page"}
	for _, c := range []struct {
		labels labels.Labels
		want   bool
	}{
		{labels.FromStrings("function", "feed", "zone", "zb-a"), true},
		{labels.FromStrings("function", "other"), false},
		{labels.FromStrings("zone", "zb-a"), true},
		{labels.EmptyLabels(), true},
	} {
		if fits(c.labels, of) != c.want {
			t.Errorf("%s: want %v", c.labels, c.want)
		}
	}
	curves := Curves{Series: []Series{{Labels: map[string]string{"function": "feed", "zone": "a"}}, {Labels: map[string]string{"function": "feed", "zone": "b"}}}}
	if curves.Name(1) != "zone=b" || (Curves{Series: curves.Series[:1]}).Name(0) != "1" {
		t.Error("names of curves")
	}
}
