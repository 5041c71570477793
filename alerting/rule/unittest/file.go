// Package unittest runs tests of rules as promtool does (promtool test rules), in the
// same format and by Prometheus' own engine, so that rules can be tested where there
// is no promtool, and native histograms where there is an old one.
package unittest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"
)

// file is a file of tests.
type file struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	GroupEvalOrder     []string       `yaml:"group_eval_order"`
	FuzzyCompare       bool           `yaml:"fuzzy_compare"`
	Tests              []test         `yaml:"tests"`
}

type test struct {
	Name           string            `yaml:"name"`
	Interval       model.Duration    `yaml:"interval"`
	StartTimestamp string            `yaml:"start_timestamp"`
	ExternalLabels map[string]string `yaml:"external_labels"`
	ExternalURL    string            `yaml:"external_url"`
	InputSeries    []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []struct {
		EvalTime  model.Duration  `yaml:"eval_time"`
		Alertname string          `yaml:"alertname"`
		Expected  []expectedAlert `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
	Expressions []struct {
		Expr     string           `yaml:"expr"`
		EvalTime model.Duration   `yaml:"eval_time"`
		Expected []expectedSample `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
}

type expectedAlert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

type expectedSample struct {
	Labels    string  `yaml:"labels"`
	Value     float64 `yaml:"value"`
	Histogram string  `yaml:"histogram"`
}

func read(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in file
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if in.EvaluationInterval <= 0 {
		in.EvaluationInterval = model.Duration(time.Minute)
	}
	if in.RuleFiles, err = found(filepath.Dir(path), in.RuleFiles); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &in, nil
}

// found are the files that patterns stand for, which begin beside the test.
func found(dir string, patterns []string) (all []string, err error) {
	for _, p := range patterns {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		some, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("rule_files: %s: %w", p, err)
		}
		if len(some) == 0 {
			return nil, fmt.Errorf("rule_files: there is no %s", p)
		}
		all = append(all, some...)
	}
	return all, nil
}

// load is the test's series in the language of Prometheus' own tests.
func (t *test) load() string {
	var b strings.Builder
	fmt.Fprintf(&b, "load %s\n", t.Interval)
	for _, s := range t.InputSeries {
		fmt.Fprintf(&b, "  %s %s\n", s.Series, s.Values)
	}
	return b.String()
}

// start is when the series begin; 1970 unless the test says it.
func (t *test) start() (time.Time, error) {
	if t.StartTimestamp == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	if at, err := time.Parse(time.RFC3339Nano, t.StartTimestamp); err == nil {
		return at.UTC(), nil
	}
	var seconds float64
	if _, err := fmt.Sscan(t.StartTimestamp, &seconds); err != nil {
		return time.Time{}, errors.New("start_timestamp: want RFC 3339 or Unix seconds")
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC(), nil
}

// last is the last moment that anything is expected of.
func (t *test) last() (last time.Duration) {
	for _, a := range t.Alerts {
		last = max(last, time.Duration(a.EvalTime))
	}
	for _, e := range t.Expressions {
		last = max(last, time.Duration(e.EvalTime))
	}
	return last
}

func (e expectedAlert) text(name string) string {
	ls := map[string]string{labels.AlertName: name}
	for k, v := range e.Labels {
		ls[k] = v
	}
	return labels.FromMap(ls).String() + " " + labels.FromMap(e.Annotations).String()
}
