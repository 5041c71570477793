package unittest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

// Run runs the tests of a file. The error joins all that is not as expected.
func Run(ctx context.Context, path string) error {
	f, err := read(path)
	if err != nil {
		return err
	}
	var errs []error
	for i := range f.Tests {
		t := &f.Tests[i]
		if t.Name == "" {
			t.Name = fmt.Sprintf("test %d", i+1)
		}
		if t.Interval <= 0 {
			t.Interval = f.EvaluationInterval
		}
		if err := f.run(ctx, t); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}

// suite is one test that runs.
type suite struct {
	*promqltest.LazyLoader
	test   *test
	fuzzy  bool
	parser parser.Parser
	groups []*rules.Group
	every  time.Duration
	errs   []error
}

func (f *file) run(ctx context.Context, t *test) (err error) {
	start, err := t.start()
	if err != nil {
		return err
	}
	s := &suite{test: t, fuzzy: f.FuzzyCompare, parser: parser.NewParser(parser.Options{}), every: time.Duration(f.EvaluationInterval)}
	s.LazyLoader, err = promqltest.NewLazyLoader(t.load(), promqltest.LazyLoaderOpts{Parser: s.parser, StartTime: start})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.SubqueryInterval = s.every
	if err := s.loadRules(ctx, f); err != nil {
		return err
	}
	for at := time.Duration(0); at <= t.last(); at += s.every {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !s.evaluate(start.Add(at)) {
			break // what follows from a rule that fails is no news
		}
		s.alerts(at)
	}
	s.expressions(start)
	return errors.Join(s.errs...)
}

func (s *suite) loadRules(ctx context.Context, f *file) error {
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(s.QueryEngine(), s.Storage()), AppendableV2: s.Storage(), Context: ctx,
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: slog.New(slog.DiscardHandler), Parser: s.parser,
	})
	byKey, errs := m.LoadGroups(time.Duration(s.test.Interval), labels.FromMap(s.test.ExternalLabels), s.test.ExternalURL, nil, false, f.RuleFiles...)
	if errs != nil {
		return errors.Join(errs...)
	}
	for _, g := range byKey {
		s.groups = append(s.groups, g)
		for _, r := range g.Rules() {
			if a, ok := r.(*rules.AlertingRule); ok {
				a.SetRestored(true) // else there is no series ALERTS
			}
		}
	}
	slices.SortFunc(s.groups, func(a, b *rules.Group) int {
		// Groups that are not in the order come first, as with promtool.
		if d := slices.Index(f.GroupEvalOrder, a.Name()) - slices.Index(f.GroupEvalOrder, b.Name()); d != 0 {
			return d
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return nil
}

// evaluate runs all rules at a moment, and is false when one fails.
func (s *suite) evaluate(at time.Time) bool {
	before := len(s.errs)
	s.WithSamplesTill(at, func(err error) {
		if err != nil {
			s.errs = append(s.errs, err)
			return
		}
		for _, g := range s.groups {
			g.Eval(s.Context(), at)
			for _, r := range g.Rules() {
				if err := r.LastError(); err != nil {
					s.errs = append(s.errs, fmt.Errorf("rule %s at %s: %w", r.Name(), at.Sub(time.Unix(0, 0)), err))
				}
			}
		}
	})
	return len(s.errs) == before
}

// alerts compares what fires from at until the next evaluation.
func (s *suite) alerts(at time.Duration) {
	for _, c := range s.test.Alerts {
		if t := time.Duration(c.EvalTime); t < at || t >= at+s.every {
			continue
		}
		if c.Alertname == "" {
			s.errs = append(s.errs, fmt.Errorf("alert_rule_test at %s: alertname is missing", c.EvalTime))
			continue
		}
		var want []string
		for _, a := range c.Expected {
			want = append(want, a.text(c.Alertname))
		}
		s.compare(fmt.Sprintf("alert %s at %s", c.Alertname, c.EvalTime), want, s.firing(c.Alertname))
	}
}

func (s *suite) firing(name string) (all []string) {
	for _, g := range s.groups {
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				if r.Name() == name && a.State == rules.StateFiring {
					all = append(all, a.Labels.String()+" "+a.Annotations.String())
				}
			}
		}
	}
	return all
}

func (s *suite) compare(what string, want, got []string) {
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		s.errs = append(s.errs, fmt.Errorf("%s:\n  want %s\n  got  %s", what, list(want), list(got)))
	}
}

func list(lines []string) string {
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(lines, "\n       ")
}

// expressions compares what PromQL answers.
func (s *suite) expressions(start time.Time) {
	for _, c := range s.test.Expressions {
		what := fmt.Sprintf("expr %s at %s", c.Expr, c.EvalTime)
		got, err := s.query(c.Expr, start.Add(time.Duration(c.EvalTime)))
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("%s: %w", what, err))
			continue
		}
		want, err := s.samples(c.Expected)
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("%s: %w", what, err))
			continue
		}
		if !s.same(want, got) {
			s.errs = append(s.errs, fmt.Errorf("%s:\n  want %s\n  got  %s", what, list(texts(want)), list(texts(got))))
		}
	}
}

func (s *suite) query(expr string, at time.Time) (promql.Vector, error) {
	q, err := s.QueryEngine().NewInstantQuery(s.Context(), s.Queryable(), nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(s.Context())
	if r.Err != nil {
		return nil, r.Err
	}
	switch v := r.Value.(type) {
	case promql.Vector:
		return slices.Clone(v), nil
	case promql.Scalar:
		return promql.Vector{{F: v.V}}, nil
	}
	return nil, errors.New("the answer is neither a vector nor a scalar")
}

func (s *suite) samples(in []expectedSample) (v promql.Vector, err error) {
	for _, e := range in {
		sample := promql.Sample{F: e.Value}
		if sample.Metric, err = s.parser.ParseMetric(e.Labels); err != nil {
			return nil, fmt.Errorf("labels %s: %w", e.Labels, err)
		}
		if e.Histogram != "" {
			_, values, err := s.parser.ParseSeriesDesc("{} " + e.Histogram)
			if err != nil {
				return nil, fmt.Errorf("histogram %s: %w", e.Histogram, err)
			}
			if len(values) != 1 || values[0].Histogram == nil {
				return nil, fmt.Errorf("histogram %s: want one", e.Histogram)
			}
			sample.H = values[0].Histogram
		}
		v = append(v, sample)
	}
	return v, nil
}

func (s *suite) same(want, got promql.Vector) bool {
	byLabels := func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) }
	slices.SortFunc(want, byLabels)
	slices.SortFunc(got, byLabels)
	return slices.EqualFunc(want, got, func(a, b promql.Sample) bool {
		if !labels.Equal(a.Metric, b.Metric) || (a.H == nil) != (b.H == nil) {
			return false
		}
		if a.H != nil {
			return promqltest.HistogramTestExpression(a.H) == promqltest.HistogramTestExpression(b.H)
		}
		near := math.Nextafter(a.F, math.Inf(-1)) == b.F || math.Nextafter(a.F, math.Inf(1)) == b.F
		return a.F == b.F || math.IsNaN(a.F) && math.IsNaN(b.F) || s.fuzzy && near
	})
}

func texts(v promql.Vector) (all []string) {
	for _, s := range v {
		value := fmt.Sprint(s.F)
		if s.H != nil {
			value = promqltest.HistogramTestExpression(s.H)
		}
		all = append(all, s.Metric.String()+" "+value)
	}
	return all
}
