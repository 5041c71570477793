package rule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// Curves is what a rule looks at, over a while.
type Curves struct {
	Series []Series // those that share the alert's labels, the highest at the end first
	Bound  *float64 // what the rule compares with; nil: not a number
}

// Series are values of one set of labels.
type Series struct {
	Labels map[string]string
	Times  []time.Time
	Values []float64
}

// ErrNoCurves says that an alert is of no rule here, or of one without curves.
var ErrNoCurves = errors.New("there is nothing to draw")

// asker is what queries need; it is there while Run runs.
type asker struct {
	engine *promql.Engine
	db     storage.Queryable
}

// Draws reports whether there is a rule of that name whose values can be drawn.
func (e *Evaluator) Draws(alert string) bool {
	_, ok := e.alerting(alert, nil)
	return ok
}

// alerting is the rule of that name; of several, one whose labels the alert has.
func (e *Evaluator) alerting(name string, of map[string]string) (*rules.AlertingRule, bool) {
	e.mu.Lock()
	m := e.rules
	e.mu.Unlock()
	if m == nil {
		return nil, false
	}
	var found *rules.AlertingRule
	for _, g := range m.RuleGroups() {
		for _, r := range g.AlertingRules() {
			if _, _, logs := e.texts.logQueryOf(r.Query().String()); logs {
				continue // its values are in ClickHouse
			}
			if r.Name() == name && (found == nil || fits(r.Labels(), of)) {
				found = r
			}
		}
	}
	return found, found != nil
}

// Curves evaluates what an alert's rule looks at at so many steps between two
// moments, for an alert of these labels.
func (e *Evaluator) Curves(ctx context.Context, alert string, of map[string]string, from, to time.Time, steps int) (Curves, error) {
	r, ok := e.alerting(alert, of)
	ask := e.asker.Load()
	if !ok || ask == nil || !from.Before(to) || steps < 1 {
		return Curves{}, ErrNoCurves
	}
	expr, bound := drawn(r.Query())
	step := max(to.Sub(from)/time.Duration(steps), time.Second).Truncate(time.Millisecond)
	from = to.Add(-step * (to.Sub(from) / step)) // so that the last step is the end
	q, err := ask.engine.NewRangeQuery(ctx, ask.db, nil, expr.String(), from, to, step)
	if err != nil {
		return Curves{}, fmt.Errorf("curves of %s: %w", alert, err)
	}
	defer q.Close()
	m, err := q.Exec(ctx).Matrix()
	if err != nil {
		return Curves{}, fmt.Errorf("curves of %s: %w", alert, err)
	}
	c := Curves{Bound: bound}
	for _, s := range m {
		if fits(s.Metric, of) {
			c.Series = append(c.Series, series(s))
		}
	}
	if len(c.Series) == 0 {
		return Curves{}, ErrNoCurves
	}
	slices.SortStableFunc(c.Series, func(a, b Series) int { return cmp.Compare(b.Values[len(b.Values)-1], a.Values[len(a.Values)-1]) })
	return c, nil
}

func series(s promql.Series) Series {
	out := Series{Labels: s.Metric.Map()}
	for _, p := range s.Floats {
		out.Times = append(out.Times, time.UnixMilli(p.T))
		out.Values = append(out.Values, p.F)
	}
	if len(out.Values) == 0 { // histograms have no curve
		out.Times, out.Values = []time.Time{{}}, []float64{0}
	}
	return out
}

// fits reports whether a set of labels contradicts none of an alert's.
func fits(set labels.Labels, of map[string]string) bool {
	ok := true
	set.Range(func(l labels.Label) {
		if v, there := of[l.Name]; there && v != l.Value && l.Name != model.MetricNameLabel && l.Name != "alertname" {
			ok = false
		}
	})
	return ok
}

// drawn is the part of an expression whose values say how near or far an alert is,
// and the number that it is compared with: of rate(x[1m]) > 5 and on () y the first
// two words.
func drawn(e parser.Expr) (parser.Expr, *float64) {
	switch n := e.(type) {
	case *parser.ParenExpr:
		return drawn(n.Expr)
	case *parser.StepInvariantExpr:
		return drawn(n.Expr)
	case *parser.BinaryExpr:
		switch {
		case n.Op.IsSetOperator():
			return drawn(n.LHS)
		case n.Op.IsComparisonOperator() && !n.ReturnBool:
			if v, ok := constant(n.LHS); ok {
				return n.RHS, &v
			}
			if v, ok := constant(n.RHS); ok {
				return n.LHS, &v
			}
			return n.LHS, nil
		}
	}
	return e, nil
}

// constant is the value of an expression that is only numbers.
func constant(e parser.Expr) (float64, bool) {
	switch n := e.(type) {
	case *parser.NumberLiteral:
		return n.Val, true
	case *parser.ParenExpr:
		return constant(n.Expr)
	case *parser.StepInvariantExpr:
		return constant(n.Expr)
	case *parser.UnaryExpr:
		v, ok := constant(n.Expr)
		if n.Op == parser.SUB {
			v = -v
		}
		return v, ok
	case *parser.BinaryExpr:
		a, okA := constant(n.LHS)
		b, okB := constant(n.RHS)
		if !okA || !okB {
			return 0, false
		}
		switch n.Op {
		case parser.ADD:
			return a + b, true
		case parser.SUB:
			return a - b, true
		case parser.MUL:
			return a * b, true
		case parser.DIV:
			return a / b, true
		}
	}
	return 0, false
}

// Name is a short name of a curve among others: the labels in which they differ.
func (c Curves) Name(i int) string {
	name := ""
	for _, k := range slices.Sorted(maps.Keys(c.Series[i].Labels)) {
		v := c.Series[i].Labels[k]
		differs := slices.ContainsFunc(c.Series, func(s Series) bool { return s.Labels[k] != v })
		if !differs || k == model.MetricNameLabel {
			continue
		}
		if name != "" {
			name += " "
		}
		name += k + "=" + v
	}
	if name == "" {
		return strconv.Itoa(i + 1)
	}
	return name
}
