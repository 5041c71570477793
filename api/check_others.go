package api

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

func (z *Zone) check(r *report) {
	r.metadata(&z.Metadata)
	if z.Spec.Priority > 127 { // Envoy has 128 priorities
		r.add("spec.priority", "is %d, want a whole number from 0 to 127", z.Spec.Priority)
	}
	if z.Spec.Weight < 0 || z.Spec.Weight > 100 {
		r.add("spec.weight", "is %d, want a whole number from 0 to 100", z.Spec.Weight)
	}
}

// secretRef wants one reference and nothing else. Messages never show the value.
func (r *report) secretRef(field string, s Secret) {
	if !s.IsRef() {
		r.add(field, "holds a secret as plain text or a malformed reference, want ${env:NAME} or ${file:path}: secrets do not belong in files that are shared")
	}
}

func (a *AlertRule) check(r *report) {
	r.metadata(&a.Metadata)
	if a.Spec.Groups == "" {
		r.add("spec.groups", "is missing, want rule groups in Prometheus' format")
	}
}

func (rb *Robot) check(r *report) {
	r.metadata(&rb.Metadata)
	checkRobotURL(r, rb.Spec.URL)
	if rb.Spec.Secret != "" {
		r.secretRef("spec.secret", rb.Spec.Secret)
	}
}

const wantRobotURL = "want the robot's address, such as https://oapi.dingtalk.com/robot/send?access_token=${env:DING_TOKEN}"

// checkRobotURL takes an address with references in it, or one reference to all of it.
func checkRobotURL(r *report, s Secret) {
	refs, err := s.Refs()
	switch {
	case s == "":
		r.add("spec.url", "is missing, %s", wantRobotURL)
	case err != nil:
		r.add("spec.url", "%s", err)
	case s.IsRef():
	default:
		text := string(s)
		for _, ref := range refs {
			text = strings.Replace(text, ref, "x", 1)
		}
		if !isHTTP(text) {
			r.add("spec.url", "is no http or https address, %s", wantRobotURL)
		}
	}
}

func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func (s *Scenario) check(r *report) {
	r.metadata(&s.Metadata)
	if len(s.Spec.Targets) == 0 {
		r.add("spec.targets", "is missing, want at least one, such as {method: GET, url: \"http://127.0.0.1:9000/feed\"}")
	}
	for i, t := range s.Spec.Targets {
		t.check(r, fmt.Sprintf("spec.targets[%d]", i))
	}
	if len(s.Spec.Stages) == 0 {
		r.add("spec.stages", "is missing, want at least one, such as {rate: 300, duration: 30s}")
	}
	for i, st := range s.Spec.Stages {
		st.check(r, fmt.Sprintf("spec.stages[%d]", i))
	}
	if s.Spec.Workers < 0 || s.Spec.Workers > 10000 {
		r.add("spec.workers", "is %d, want a whole number from 0 to 10000", s.Spec.Workers)
	}
	if a := s.Spec.Arrivals; a != "" && a != "constant" && a != "poisson" {
		r.add("spec.arrivals", "is %s, want constant or poisson", quote(a))
	}
	for i, t := range s.Spec.Thresholds {
		if !threshold.MatchString(t) {
			r.add(fmt.Sprintf("spec.thresholds[%d]", i), "is %s, want a comparison such as \"p99 < 120ms\" or \"success > 99.9%%\"", quote(t))
		}
	}
}

// threshold is the shape of a comparison; which measures there are is for the
// load test to say.
var threshold = regexp.MustCompile(`^[a-z][a-z0-9_.]*\s*(<|<=|>|>=)\s*[0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|m|%|/s)?$`)

func (t Target) check(r *report, at string) {
	r.method(at+".method", t.Method)
	if !isHTTP(t.URL) {
		r.add(at+".url", "%s, want an address such as http://127.0.0.1:9000/feed", isOrMissing(t.URL))
	}
	r.headers(at+".headers", t.Header)
}

func (st Stage) check(r *report, at string) {
	ramp := st.From != 0 || st.To != 0
	for _, v := range []struct {
		key  string
		rate float64
	}{{"rate", st.Rate}, {"from", st.From}, {"to", st.To}} {
		if !finite(v.rate) || v.rate < 0 {
			r.add(at+"."+v.key, "is %v, want requests a second, 0 or more", v.rate)
		}
	}
	switch {
	case ramp && st.Rate != 0:
		r.add(at, "has rate and from or to, want {rate: 300, duration: 30s} or {from: 10, to: 500, duration: 1m}")
	case !ramp && st.Rate == 0:
		r.add(at, "has no rate, want {rate: 300, duration: 30s} or {from: 10, to: 500, duration: 1m}")
	}
	if st.Duration <= 0 {
		r.add(at+".duration", "is missing, want a duration such as 30s")
	}
}
