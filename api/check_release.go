package api

import (
	"fmt"
	"strings"
)

// checkReleases checks what decides between revisions, weights aside.
func (f *Function) checkReleases(r *report) {
	for i, rev := range f.Spec.Revisions {
		at := fmt.Sprintf("spec.revisions[%d]", i)
		if strings.ContainsAny(rev.Image, " \t\r\n") {
			r.add(at+".image", "is %s, want one reference without spaces, such as registry.example.com/feed@sha256:…", quote(rev.Image))
		}
	}
	for i, t := range f.Spec.Traffic {
		if t.Match != nil {
			f.checkMatch(r, fmt.Sprintf("spec.traffic[%d].match", i), t.Match)
		}
	}
	if s := f.Spec.Sticky; s != nil {
		r.oneSource("spec.sticky", s.Header, s.Cookie)
	}
	if f.Spec.Access != nil {
		a := f.Spec.Access
		r.unique("spec.access.revisions", a.Revisions)
		if a.PublicRevisions && len(a.Revisions) > 0 {
			r.add("spec.access.publicRevisions", "is given beside revisions, want one of them")
		}
	}
	f.checkRelease(r)
}

func (f *Function) checkMatch(r *report, at string, m *TrafficMatch) {
	if len(m.Headers) == 0 && len(m.Cookies) == 0 && m.Users == nil {
		r.add(at, "is empty, want headers, cookies or users of the calls that are meant, such as {headers: {x-gray: \"1\"}}")
	}
	r.headers(at+".headers", m.Headers)
	for _, name := range sortedKeys(m.Cookies) {
		r.cookie(join(at+".cookies", name), name)
		if strings.ContainsAny(m.Cookies[name], ";\r\n\x00") {
			r.add(join(at+".cookies", name), "has a semicolon or line break in its value, which no cookie can have")
		}
	}
	if m.Users != nil {
		f.checkUsers(r, at+".users", m.Users)
	}
}

func (f *Function) checkUsers(r *report, at string, u *Users) {
	r.oneSource(at, u.Header, u.Cookie)
	switch n := len(u.In) * max(1, len(f.Spec.Routes)); {
	case len(u.In) == 0:
		r.add(at+".in", "is missing, want the values that are meant, such as [\"10001\", \"10002\"]")
	case n > MaxUsers:
		r.add(at+".in", "has %d users for %d routes, want at most %d together: the gateway holds the list for every route", len(u.In), len(f.Spec.Routes), MaxUsers)
	}
	first := make(map[string]int, len(u.In))
	for i, user := range u.In {
		field := fmt.Sprintf("%s.in[%d]", at, i)
		if user == "" || len(user) > 256 || strings.ContainsAny(user, "\r\n\x00") {
			r.add(field, "%s, want one line of at most 256 bytes", isOrMissing(user))
		}
		if j, again := first[user]; again {
			r.add(field, "is %s again, as in[%d]: want it once", quote(user), j)
			continue
		}
		first[user] = i
	}
}

// oneSource wants a header or a cookie.
func (r *report) oneSource(at, header, cookie string) {
	switch {
	case (header == "") == (cookie == ""):
		r.add(at, "wants either header or cookie, such as {header: x-user}")
	case header != "" && !headerName.MatchString(header):
		r.add(at+".header", "is %s, want the name of a header, such as x-user", quote(header))
	case cookie != "":
		r.cookie(at+".cookie", cookie)
	}
}

func (r *report) cookie(at, name string) {
	if !headerName.MatchString(name) {
		r.add(at, "is no cookie name, want letters, digits and dashes, such as uid")
	}
}

func (f *Function) checkRelease(r *report) {
	l := f.Spec.Release
	if l == nil {
		return
	}
	const at = "spec.release"
	f.checkTarget(r, at+".revision", l.Revision)
	last := 0
	for i, s := range l.Steps {
		if field := fmt.Sprintf("%s.steps[%d]", at, i); s < 1 || s > 100 || s <= last {
			r.add(field, "is %d after %d, want rising percentages from 1 to 100", s, last)
		}
		last = s
	}
	if len(l.Steps) > 0 && last != 100 {
		r.add(at+".steps", "ends with %d, want 100: the revision takes over in the end", last)
	}
	if l.MinCalls < 0 {
		r.add(at+".minCalls", "is %d, want a whole number, 0 or more", l.MinCalls)
	}
	if !(l.MaxErrorIncrease >= 0 && l.MaxErrorIncrease < 100) {
		r.add(at+".maxErrorIncrease", "is %v%%, want a percentage below 100%%, such as 1%%", float64(l.MaxErrorIncrease))
	}
	if !(l.Latency.MaxIncrease >= 0 && l.Latency.MaxIncrease < 100) {
		r.add(at+".latency.maxIncrease", "is %v%%, want a percentage below 100%%, such as 5%%", float64(l.Latency.MaxIncrease))
	}
}

// checkTarget wants a revision that is there, and another one to take over from.
func (f *Function) checkTarget(r *report, field, name string) {
	var names []string
	for _, rev := range f.Spec.Revisions {
		names = append(names, rev.Name)
		if rev.Name == name && len(f.Spec.Revisions) == 1 {
			r.add(field, "is %s, the only revision: want the one that it takes over from kept in revisions", quote(name))
		}
		if rev.Name == name {
			return
		}
	}
	if len(names) > 0 {
		r.add(field, "%s, want %s", isOrMissing(name), oneOf(names))
	}
}
