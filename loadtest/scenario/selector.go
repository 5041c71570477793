package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// Selector chooses some of the requests; the zero value all of them.
type Selector struct {
	Scenario string
	Target   string
	Tag      string
}

// All says whether nothing is chosen.
func (s Selector) All() bool { return s == Selector{} }

// Has says whether a kind of request is chosen.
func (s Selector) Has(x Series) bool {
	return (s.Scenario == "" || s.Scenario == x.Scenario) &&
		(s.Target == "" || s.Target == x.Target) &&
		(s.Tag == "" || slices.Contains(x.Tags, s.Tag))
}

// wholeRun are metrics that only the whole run has.
var wholeRun = []string{"achieved_rate", "offered_rate", "late", "dropped"}

func parseSelector(metric, text string) (Selector, error) {
	var s Selector
	if slices.Contains(wholeRun, metric) {
		return s, fmt.Errorf("%s is of the whole run: leave {…} out", metric)
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, name, found := strings.Cut(strings.TrimSpace(pair), "=")
		key, name = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(name), `"`)
		into := map[string]*string{"scenario": &s.Scenario, "target": &s.Target, "tag": &s.Tag}[key]
		if !found || into == nil || name == "" || *into != "" {
			return Selector{}, fmt.Errorf("{%s} is no selector, want scenario=NAME, target=NAME or tag=NAME, such as {tag=search}", text)
		}
		*into = name
	}
	return s, nil
}

// thresholds reads those of the whole and of each scenario.
func (p *Plan) thresholds() error {
	errs := []error{p.thresholdsOf("thresholds", "", p.spec.Thresholds)}
	for i, s := range p.spec.Scenarios {
		errs = append(errs, p.thresholdsOf(fmt.Sprintf("scenarios[%d].thresholds", i), s.Name, s.Thresholds))
	}
	return joined(errs)
}

func (p *Plan) thresholdsOf(at, scenario string, all []string) error {
	var errs []error
	for i, text := range all {
		t, err := ParseThreshold(text)
		if err == nil && scenario != "" {
			t, err = t.within(scenario)
		}
		if err == nil && !t.Of.All() && !slices.ContainsFunc(p.Series, t.Of.Has) {
			err = fmt.Errorf("%q: no request is chosen, there are %s", text, p.choices())
		}
		if err != nil {
			errs = append(errs, &FieldError{fmt.Sprintf("%s[%d]", at, i), err})
			continue
		}
		p.Thresholds = append(p.Thresholds, t)
	}
	return joined(errs)
}

// within is the threshold of one scenario alone.
func (t Threshold) within(scenario string) (Threshold, error) {
	if slices.Contains(wholeRun, t.Metric) {
		return t, fmt.Errorf("%q: %s is of the whole run, not of one scenario", t.text, t.Metric)
	}
	if t.Of.Scenario != "" && t.Of.Scenario != scenario {
		return t, fmt.Errorf("%q: chooses another scenario", t.text)
	}
	t.Of.Scenario = scenario
	value := strings.TrimSpace(t.text[strings.LastIndexAny(t.text, "<>=")+1:])
	t.text = fmt.Sprintf("%s%s %s %s", t.Metric, t.Of, t.Operator, value)
	return t, nil
}

// String is the selector as it is written, such as {tag=search}.
func (s Selector) String() string {
	var parts []string
	for _, x := range [][2]string{{"scenario", s.Scenario}, {"target", s.Target}, {"tag", s.Tag}} {
		if x[1] != "" {
			parts = append(parts, x[0]+"="+x[1])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (p *Plan) choices() string {
	var all []string
	add := func(key, name string) {
		if text := key + "=" + name; name != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	for _, s := range p.Series {
		add("scenario", s.Scenario)
		add("target", s.Target)
		for _, tag := range s.Tags {
			add("tag", tag)
		}
	}
	return strings.Join(all[:min(len(all), 20)], ", ")
}
