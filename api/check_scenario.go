package api

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (s *Scenario) check(r *report) {
	r.metadata(&s.Metadata)
	x := &s.Spec
	r.whatIsSent("spec", x.Targets, x.Steps, x.Scenarios)
	r.subScenarios(x)
	r.stages("spec.stages", x.Stages)
	if x.Workers < 0 || x.Workers > 10000 {
		r.add("spec.workers", "is %d, want a whole number from 0 to 10000", x.Workers)
	}
	if x.MaxAnswer < 0 || x.MaxAnswer > 1<<30 {
		r.add("spec.maxAnswer", "is %d, want bytes from 0 to %d", x.MaxAnswer, 1<<30)
	}
	if x.Canary.Off && x.Canary.Phase > 0 {
		r.add("spec.canary.off", "stands beside phase, want one of them")
	}
	if x.Canary.Phase > Duration(5*time.Minute) {
		r.add("spec.canary.phase", "is %s, want a duration of 5m at most", x.Canary.Phase)
	}
	r.arrivals("spec.arrivals", x.Arrivals)
	r.thresholds("spec.thresholds", x.Thresholds)
	for name, f := range x.Data {
		f.check(r, "spec.data."+name, name)
	}
}

const wantTarget = "such as {method: GET, url: \"http://127.0.0.1:9000/feed\"}"

// whatIsSent wants exactly one of the three.
func (r *report) whatIsSent(at string, targets, steps []Target, scenarios []SubScenario) {
	given := 0
	for _, n := range []int{len(targets), len(steps), len(scenarios)} {
		given += min(n, 1)
	}
	switch {
	case given == 0:
		r.add(at+".targets", "is missing, want at least one, %s", wantTarget)
	case given > 1:
		r.add(at, "has two of targets, steps and scenarios, want one of them: targets are sent in turn, steps all of them each time")
	}
	for i, t := range targets {
		t.check(r, fmt.Sprintf("%s.targets[%d]", at, i))
		if len(t.Extract) > 0 {
			r.add(fmt.Sprintf("%s.targets[%d].extract", at, i), "is of no use: targets are sent in turn and know nothing of each other; want steps instead of targets")
		}
	}
	for i, t := range steps {
		t.check(r, fmt.Sprintf("%s.steps[%d]", at, i))
	}
}

func (r *report) subScenarios(x *ScenarioSpec) {
	shared := len(x.Scenarios) == 0
	names := map[string]bool{}
	for i, sub := range x.Scenarios {
		at := fmt.Sprintf("spec.scenarios[%d]", i)
		switch {
		case !selectable.MatchString(sub.Name):
			r.add(at+".name", "%s, want letters, digits, - and _, such as browse", isOrMissing(sub.Name))
		case names[sub.Name]:
			r.add(at+".name", "is %s, which another scenario has", quote(sub.Name))
		}
		names[sub.Name] = true
		shared = shared || len(sub.Stages) == 0
		sub.check(r, at)
	}
	switch {
	case shared && len(x.Stages) == 0:
		r.add("spec.stages", "is missing, want at least one, such as {rate: 300, duration: 30s}")
	case !shared && len(x.Stages) > 0:
		r.add("spec.stages", "is not used: every scenario has stages of its own")
	}
}

func (s SubScenario) check(r *report, at string) {
	r.whatIsSent(at, s.Targets, s.Steps, nil)
	own := len(s.Stages) > 0
	if !finite(s.Weight) || s.Weight < 0 {
		r.add(at+".weight", "is %v, want a number above 0", s.Weight)
	}
	if own && s.Weight != 0 {
		r.add(at+".weight", "is a share of the whole's stages, but the scenario has stages of its own: leave one of them out")
	}
	if !own && s.Start != 0 {
		r.add(at+".start", "is for a scenario with stages of its own")
	}
	if !own && s.Arrivals != "" {
		r.add(at+".arrivals", "is for a scenario with stages of its own")
	}
	r.arrivals(at+".arrivals", s.Arrivals)
	r.stages(at+".stages", s.Stages)
	r.thresholds(at+".thresholds", s.Thresholds)
}

func (r *report) arrivals(at, a string) {
	if a != "" && a != "constant" && a != "poisson" {
		r.add(at, "is %s, want constant or poisson", quote(a))
	}
}

func (r *report) thresholds(at string, all []string) {
	for i, t := range all {
		if !threshold.MatchString(t) {
			r.add(fmt.Sprintf("%s[%d]", at, i), "is %s, want a comparison such as \"p99 < 120ms\", \"success > 99.9%%\" or \"p99{tag=search} < 200ms\"", quote(t))
		}
	}
}

var (
	// threshold is the shape of a comparison; which measures there are is for the
	// load test to say.
	threshold = regexp.MustCompile(`^[a-z][a-z0-9_.]*\s*(\{[^{}]*\})?\s*(<|<=|>|>=)\s*[0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|m|%|/s)?$`)
	// selectable names can be written in a threshold's {…}.
	selectable = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	// variable names can be written in templates.
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// protocols of targets, by the schemes of their URLs.
var protocols = []string{"http", "https", "ws", "wss", "grpc", "grpcs"}

// schemeOf is the scheme of a URL that may hold templates; empty: it has none that
// is known.
func schemeOf(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || rest == "" || strings.HasPrefix(rest, "/") || !slices.Contains(protocols, scheme) {
		return ""
	}
	if _, err := url.Parse(text); err != nil && !strings.Contains(text, "{{") {
		return ""
	}
	return scheme
}

func (t Target) check(r *report, at string) {
	scheme := schemeOf(t.URL)
	if t.Method != "" || scheme == "" || strings.HasPrefix(scheme, "http") {
		r.method(at+".method", t.Method)
	}
	if scheme == "" {
		r.add(at+".url", "%s, want an address such as http://127.0.0.1:9000/feed, ws://127.0.0.1:9000/chat or grpc://127.0.0.1:9000/shop.Items/Get", isOrMissing(t.URL))
	}
	r.headers(at+".headers", t.Header)
	for i, tag := range t.Tags {
		if !selectable.MatchString(tag) {
			r.add(fmt.Sprintf("%s.tags[%d]", at, i), "%s, want letters, digits, -, _ and ., such as search", isOrMissing(tag))
		}
	}
	if t.Body != "" && t.BodyFile != "" {
		r.add(at+".bodyFile", "stands beside body, want one of them")
	}
	t.checkProtocol(r, at, scheme)
	for name, e := range t.Extract {
		e.check(r, at+".extract."+name, name)
	}
	for i, c := range t.Checks {
		c.check(r, fmt.Sprintf("%s.checks[%d]", at, i))
	}
}

// checkProtocol wants only what the protocol of the URL has.
func (t Target) checkProtocol(r *report, at, scheme string) {
	if scheme == "" {
		return
	}
	ws, grpc := strings.HasPrefix(scheme, "ws"), strings.HasPrefix(scheme, "grpc")
	for _, x := range []struct {
		key   string
		given bool
		fits  bool
		want  string
	}{
		{"messages", len(t.Messages) > 0, ws, "ws or wss"},
		{"hold", t.Hold > 0, ws, "ws or wss"},
		{"descriptors", t.Descriptors != "", grpc, "grpc or grpcs"},
		{"method", t.Method != "", !ws && !grpc, "http or https"},
		{"body", t.Body != "", !ws, "http, https, grpc or grpcs; a websocket has messages"},
		{"bodyFile", t.BodyFile != "", !ws && !grpc, "http or https"},
	} {
		if x.given && !x.fits {
			r.add(at+"."+x.key, "is not for %s://, but for %s", scheme, x.want)
		}
	}
	for i, m := range t.Messages {
		if m.Send == "" && m.Expect == "" {
			r.add(fmt.Sprintf("%s.messages[%d]", at, i), "has neither send nor expect")
		}
	}
	if u, err := url.Parse(t.URL); grpc && (err != nil || strings.Count(u.Path, "/") != 2 || path.Base(u.Path) == "/") {
		r.add(at+".url", "is %s, want a method such as grpc://127.0.0.1:9000/shop.Items/Get", quote(t.URL))
	}
}

func (e Extract) check(r *report, at, name string) {
	if !variable.MatchString(name) {
		r.add(at, "has the name %s, want letters, digits and _, such as token", quote(name))
	}
	given := 0
	for _, s := range []string{e.JSON, e.Header, e.Regex} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		r.add(at, "has %d of json, header and regex, want one of them", given)
	}
	if _, err := regexp.Compile(e.Regex); err != nil {
		r.add(at+".regex", "is %s: %s", quote(e.Regex), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

func (c Check) check(r *report, at string) {
	given := 0
	for _, is := range []bool{c.Status != 0, c.Contains != "", c.JSON != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		r.add(at, "has %d of status, contains and json, want one of them, such as {status: 200} or {json: state, equals: done}", given)
	case c.Status != 0 && (c.Status < 100 || c.Status > 599):
		r.add(at+".status", "is %d, want a status from 100 to 599", c.Status)
	case c.Equals != "" && c.JSON == "":
		r.add(at+".equals", "stands without json, the path of what is compared")
	}
}

func (f Feed) check(r *report, at, name string) {
	if !variable.MatchString(name) {
		r.add(at, "has the name %s, want letters, digits and _, such as users", quote(name))
	}
	if !slices.Contains([]string{".csv", ".jsonl", ".ndjson"}, strings.ToLower(path.Ext(f.File))) {
		r.add(at+".file", "%s, want a file that ends in .csv, .jsonl or .ndjson", isOrMissing(f.File))
	}
	if !slices.Contains([]string{"", "sequential", "random", "unique"}, f.Order) {
		r.add(at+".order", "is %s, want sequential, random or unique", quote(f.Order))
	}
}
