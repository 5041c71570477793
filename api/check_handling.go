package api

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxTimeout is the longest that a gateway is told to wait.
const maxTimeout = Duration(24 * time.Hour)

// MaxRequestBytes bounds Handling.MaxRequestBytes: a gateway holds bodies of
// limited size whole.
const MaxRequestBytes = Size(64 << 20)

func (h Handling) check(r *report, at string) {
	if h.CORS != nil {
		h.CORS.check(r, at+".cors")
	}
	h.RequestHeaders.check(r, at+".requestHeaders")
	h.ResponseHeaders.check(r, at+".responseHeaders")
	r.timeout(at+".idleTimeout", h.IdleTimeout)
	if h.MaxRequestBytes < 0 || h.MaxRequestBytes > MaxRequestBytes {
		r.add(at+".maxRequestBytes", "is %s, want at most %s: gateways hold such bodies whole", h.MaxRequestBytes, MaxRequestBytes)
	}
}

func (r *report) timeout(field string, d Duration) {
	if d < 0 || d > maxTimeout {
		r.add(field, "is %s, want at most 24h", d)
	}
}

func (f *Function) checkHandling(r *report) {
	f.Spec.Handling.check(r, "spec")
	f.Spec.Retries.check(r, "spec.retries", f.Spec.Idempotent)
	f.checkMirrors(r)
	f.checkProtocols(r)
	f.checkTranscoding(r)
	for _, rev := range f.Spec.Revisions {
		if rev.Protocol == GRPC && f.Spec.MaxRequestBytes > 0 {
			r.add("spec.maxRequestBytes", "is %s, but revision %s speaks grpc, whose streams cannot be held whole: want it left out",
				f.Spec.MaxRequestBytes, rev.Name)
			break
		}
	}
}

// checkProtocols reports routes that pods cannot follow.
func (f *Function) checkProtocols(r *report) {
	for i, rev := range f.Spec.Revisions {
		if rev.Protocol == "" || rev.Protocol == HTTP1 {
			continue
		}
		for j, rt := range f.Spec.Routes {
			if rt.Websocket {
				r.add(fmt.Sprintf("spec.revisions[%d].protocol", i), "is %s, over which pods take no websockets, as spec.routes[%d] wants: want http1", rev.Protocol, j)
			}
			if rev.Protocol == GRPC && rt.MaxRequestBytes > 0 {
				r.add(fmt.Sprintf("spec.routes[%d].maxRequestBytes", j), "is %s, but revision %s speaks grpc, whose streams cannot be held whole: want it left out",
					rt.MaxRequestBytes, rev.Name)
			}
		}
	}
}

func (f *Function) checkMirrors(r *report) {
	for i, m := range f.Spec.Mirror {
		at := fmt.Sprintf("spec.mirror[%d]", i)
		if !(m.Percent > 0 && m.Percent <= 100) {
			r.add(at+".percent", "is %v%%, want a percentage above 0%%, up to 100%%", float64(m.Percent))
		}
		if m.Function != "" && m.Function != f.Name {
			r.name(at+".revision", m.Revision) // whether there is one, Validate sees
			continue
		}
		if names := revisionNames(f); !slices.Contains(names, m.Revision) && len(names) > 0 {
			r.add(at+".revision", "%s, want %s", isOrMissing(m.Revision), oneOf(names))
		}
	}
	if len(f.Spec.Mirror) > 4 {
		r.add("spec.mirror", "has %d entries, want at most 4: each may send every call once more", len(f.Spec.Mirror))
	}
}

func revisionNames(f *Function) (names []string) {
	for _, rev := range f.Spec.Revisions {
		if rev.Name != "" && !slices.Contains(names, rev.Name) {
			names = append(names, rev.Name)
		}
	}
	return names
}

// mirrors checks the functions and revisions that copies of calls go to.
func (v validation) mirrors(f *Function, all []*Function) {
	for i, m := range f.Spec.Mirror {
		if m.Function == "" || m.Function == f.Name {
			continue
		}
		at := fmt.Sprintf("spec.mirror[%d]", i)
		v.mustExist(f, at+".function", m.Function, v.functions, KindFunction)
		j := slices.IndexFunc(all, func(o *Function) bool { return o.Name == m.Function })
		if j < 0 {
			continue
		}
		if names := revisionNames(all[j]); !slices.Contains(names, m.Revision) && len(names) > 0 {
			v.report(f).add(at+".revision", "%s, want a revision of %s: %s", isOrMissing(m.Revision), m.Function, oneOf(names))
		}
	}
}

func (r *report) protocol(field string, p Protocol) {
	all := []string{string(HTTP1), string(HTTP2), string(GRPC)}
	if p != "" && !slices.Contains(all, string(p)) {
		r.add(field, "is %s, want %s", quote(string(p)), oneOf(all))
	}
}

func (c *CORS) check(r *report, at string) {
	if len(c.Origins) == 0 {
		r.add(at+".origins", "is missing, want the origins of pages, such as https://app.example.com, https://*.example.com or *")
	}
	for i, o := range c.Origins {
		c.checkOrigin(r, fmt.Sprintf("%s.origins[%d]", at, i), o)
	}
	for i, m := range c.Methods {
		r.method(fmt.Sprintf("%s.methods[%d]", at, i), m)
	}
	r.unique(at+".methods", c.Methods)
	for field, names := range map[string][]string{".headers": c.Headers, ".expose": c.Expose} {
		r.unique(at+field, names)
		for i, name := range names {
			if name == "*" && c.Credentials {
				r.add(fmt.Sprintf("%s%s[%d]", at, field, i), "is \"*\", which browsers take for a name where credentials are sent: want the names")
			} else if !headerName.MatchString(name) {
				r.add(fmt.Sprintf("%s%s[%d]", at, field, i), "%s, want the name of a header", isOrMissing(name))
			}
		}
	}
	r.timeout(at+".maxAge", c.MaxAge)
}

func (c *CORS) checkOrigin(r *report, at string, o Matcher) {
	switch {
	case o.Kind == MatchRegex:
		r.matcher(at, o)
	case o.Kind != MatchExact:
		r.add(at, "is no origin, want an origin, one with *. before its host, *, or {regex: …}")
	case o.Text == "*" && c.Credentials:
		r.add(at, "is \"*\" beside credentials: every page could call in a user's name; want the origins")
	case o.Text == "*" || o.Text == "null":
	default:
		scheme, host, found := strings.Cut(o.Text, "://")
		name, port, hasPort := strings.Cut(host, ":")
		if !found || scheme == "" || strings.ToLower(scheme) != scheme || wrongHost(name) != "" || name == "*" ||
			hasPort && (port == "" || strings.Trim(port, "0123456789") != "") {
			r.add(at, "%s, want an origin such as https://app.example.com, https://*.example.com:8443 or *: no path, small letters", isOrMissing(o.Text))
		}
	}
}
