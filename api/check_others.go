package api

import (
	"net/url"
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
	if a.Spec.Groups == "" && a.Spec.LogGroups == "" {
		r.add("spec.groups", "is missing, want rule groups in Prometheus' format, or spec.logGroups")
	}
}

func (rb *Robot) check(r *report) {
	r.metadata(&rb.Metadata)
	if rb.Spec.App != nil {
		rb.Spec.App.check(r)
	}
	if rb.Spec.App == nil || rb.Spec.URL != "" {
		checkRobotURL(r, rb.Spec.URL)
	}
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
