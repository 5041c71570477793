package scenario

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Threshold is what a run must show, such as "p99 < 120ms".
//
//	expression = metric [selector] operator value
//	metric     = "mean" | "max" | "pN" (N from 0 to 100, such as p99 or p99.9)   latency; the value is a duration
//	           | "success" | "errors"                                            share; the value is a percentage, or a number from 0 to 1
//	           | "achieved_rate" | "offered_rate"                                requests a second
//	           | "sent" | "late" | "dropped"                                     requests
//	operator   = "<" | "<=" | ">" | ">="
//	selector   = "{" key "=" name {"," key "=" name} "}"                          of some requests alone; each key once
//	key        = "scenario" | "target" | "tag"
type Threshold struct {
	Metric   string
	Operator string
	Value    float64 // seconds, share from 0 to 1, requests a second, or requests
	Of       Selector
	text     string
}

// String is the expression as it was written.
func (t Threshold) String() string { return t.text }

// Holds says whether a measured value, in the unit of Value, keeps the
// threshold. Not a number keeps none: what was not measured was not shown.
func (t Threshold) Holds(measured float64) bool {
	switch t.Operator {
	case "<":
		return measured < t.Value
	case "<=":
		return measured <= t.Value
	case ">":
		return measured > t.Value
	}
	return measured >= t.Value
}

var expression = regexp.MustCompile(`^\s*([a-z0-9_.]+)\s*(?:\{([^{}]*)\}\s*)?(<=|>=|<|>)\s*(\S+)\s*$`)

// ParseThreshold reads one expression. Its errors say what would be right.
func ParseThreshold(text string) (Threshold, error) {
	m := expression.FindStringSubmatch(text)
	if m == nil {
		return Threshold{}, fmt.Errorf(`%q is not "metric operator value", such as "p99 < 120ms"`, text)
	}
	t := Threshold{Metric: m[1], Operator: m[3], text: strings.TrimSpace(text)}
	parse, err := valueOf(t.Metric)
	if err == nil {
		t.Value, err = parse(m[4])
	}
	if err == nil && strings.Contains(text, "{") {
		t.Of, err = parseSelector(t.Metric, m[2])
	}
	if err != nil {
		return Threshold{}, fmt.Errorf("%q: %w", text, err)
	}
	return t, nil
}

// valueOf is the parser for a metric's values.
func valueOf(metric string) (func(string) (float64, error), error) {
	switch metric {
	case "mean", "max":
		return latency, nil
	case "success", "errors":
		return share, nil
	case "achieved_rate", "offered_rate", "sent", "late", "dropped":
		return number, nil
	}
	if _, ok := Percentile(metric); ok {
		return latency, nil
	}
	return nil, fmt.Errorf("metric %q is unknown: use mean, max, p50 or another percentile, success, errors, achieved_rate, offered_rate, sent, late or dropped", metric)
}

// Percentile is 99.9 for "p99.9"; false for what is no percentile between 0 and 100.
func Percentile(metric string) (float64, bool) {
	digits, found := strings.CutPrefix(metric, "p")
	if !found || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, false
	}
	p, err := strconv.ParseFloat(digits, 64)
	return p, err == nil && p > 0 && p < 100
}

func latency(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration, such as 120ms or 1.5s", s)
	}
	return d.Seconds(), nil
}

func share(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	v, err := number(digits)
	if percent {
		v /= 100
	}
	if err != nil || v > 1 {
		return 0, fmt.Errorf("%q is not a share, such as 99.9%% or 0.999", s)
	}
	return v, nil
}

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("%q is not a number, 0 or above", s)
	}
	return v, nil
}
