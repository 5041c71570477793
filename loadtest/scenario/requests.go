package scenario

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/flow"
	"github.com/kongdao/kongdao/loadtest/template"
)

// compiler turns targets and steps into requests.
type compiler struct {
	spec   api.ScenarioSpec
	limits Limits
	files  Files
	series []Series
}

// requests compiles one scenario's. Errors name their fields.
func (c *compiler) requests(at, scenario string, targets []api.Target, scope *template.Scope, chained bool) ([]*flow.Request, error) {
	var out []*flow.Request
	var errs []error
	if len(targets) == 0 {
		errs = append(errs, &FieldError{at, errors.New("must not be empty")})
	}
	for i, t := range targets {
		field := fmt.Sprintf("%s[%d]", at, i)
		if !chained && len(t.Extract) > 0 {
			errs = append(errs, &FieldError{field + ".extract", errors.New("is of no use to targets, which know nothing of each other: want steps")})
		}
		r, err := c.request(t, scope)
		if err != nil {
			errs = append(errs, problemsAt(field, err))
			continue
		}
		r.Series = len(c.series)
		c.series = append(c.series, Series{Scenario: scenario, Target: r.Name, Tags: t.Tags})
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

func problemsAt(field string, err error) error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return problemAt(field, err)
	}
	var errs []error
	for _, e := range many.Unwrap() {
		errs = append(errs, problemAt(field, e))
	}
	return errors.Join(errs...)
}

func (c *compiler) request(t api.Target, scope *template.Scope) (*flow.Request, error) {
	r := &flow.Request{Name: nameOf(t), Method: t.Method, Hold: t.Hold.Std()}
	var errs []error
	parse := func(field, text string) template.Template {
		tm, refers, err := c.text(scope, text)
		if err != nil {
			errs = append(errs, &flow.Problem{Field: field, Err: err})
		}
		if refers && field == "url" {
			r.Shown = text
		}
		return tm
	}
	r.URL = parse("url", t.URL)
	for _, name := range slices.Sorted(maps.Keys(t.Header)) {
		r.Header = append(r.Header, flow.Field{Name: name, Value: parse("headers."+name, t.Header[name])})
	}
	r.Body = parse("body", t.Body)
	if t.BodyFile != "" {
		body, err := c.files.read(t.BodyFile)
		if err != nil {
			errs = append(errs, &flow.Problem{Field: "bodyFile", Err: err})
		}
		r.Body = template.Literal(string(body))
	}
	for i, m := range t.Messages {
		r.Messages = append(r.Messages, flow.Message{
			Send:   parse(fmt.Sprintf("messages[%d].send", i), m.Send),
			Expect: parse(fmt.Sprintf("messages[%d].expect", i), m.Expect),
		})
	}
	errs = append(errs, c.judging(r, t, scope))
	if text, static := r.Body.Static(); static && len(text) > c.limits.maxBody() {
		errs = append(errs, &flow.Problem{Field: "body", Err: fmt.Errorf("%d bytes are above the cap of %d", len(text), c.limits.maxBody())})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, c.finish(r, t)
}

// finish checks the whole request.
func (c *compiler) finish(r *flow.Request, t api.Target) error {
	scheme, rest, _ := strings.Cut(t.URL, "://")
	if err := r.Prepare(scheme, c.limits.Allows); err != nil {
		return err
	}
	if _, static := r.URL.Static(); !static {
		host, err := c.templatedURL(scheme, rest)
		if err != nil {
			return &flow.Problem{Field: "url", Err: err}
		}
		r.SetHost(host)
	}
	if !strings.HasPrefix(scheme, "grpc") {
		return nil
	}
	return c.grpc(r, t)
}

// templatedURL checks as much of the URL as is fixed: its host, if no template is in
// it, is what is returned.
func (c *compiler) templatedURL(scheme, rest string) (host string, err error) {
	if !slices.Contains([]string{"http", "https", "ws", "wss"}, scheme) {
		return "", fmt.Errorf("its protocol %q must be http, https, ws or wss: with templates in it there are no others", scheme)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if strings.Contains(rest[:end], "{{") || end == len(rest) {
		return "", nil // every host is checked when it is known
	}
	u, err := url.Parse(scheme + "://" + rest[:end])
	if err != nil || !c.limits.Allows(u.Host) {
		return "", fmt.Errorf("host %s is not on the list of hosts that may be load-tested", rest[:end])
	}
	return u.Host, nil
}

func (c *compiler) grpc(r *flow.Request, t api.Target) error {
	u, err := url.Parse(t.URL)
	if err != nil {
		return &flow.Problem{Field: "url", Err: err}
	}
	service, method, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !ok || service == "" || method == "" || strings.Contains(method, "/") || u.RawQuery != "" {
		return &flow.Problem{Field: "url", Err: fmt.Errorf("%q names no method, want grpc://HOST:PORT/package.Service/Method", t.URL)}
	}
	if u.Port() == "" {
		return &flow.Problem{Field: "url", Err: fmt.Errorf("%q has no port, want grpc://HOST:PORT/package.Service/Method", t.URL)}
	}
	if t.Descriptors == "" {
		return nil
	}
	data, err := c.files.read(t.Descriptors)
	if err == nil {
		r.Files, err = flow.Descriptors(data)
	}
	if err != nil {
		return &flow.Problem{Field: "descriptors", Err: err}
	}
	if err := flow.CheckMethod(r.Files, service, method, nil); err != nil {
		return &flow.Problem{Field: "url", Err: err}
	}
	if body, static := r.Body.Static(); static {
		if err := flow.CheckMethod(r.Files, service, method, []byte(body)); err != nil {
			return &flow.Problem{Field: "body", Err: err}
		}
	}
	return nil
}

// judging compiles checks and extractions; what is extracted is known from then on.
func (c *compiler) judging(r *flow.Request, t api.Target, scope *template.Scope) error {
	var errs []error
	for _, k := range t.Checks {
		check := flow.Check{Status: k.Status, Contains: k.Contains, JSON: k.JSON, Equals: k.Equals}
		switch {
		case k.Status != 0:
			check.Name = fmt.Sprintf("status %d", k.Status)
		case k.Contains != "":
			check.Name = "contains " + short(k.Contains)
		default:
			check.Name = "json " + short(k.JSON)
		}
		r.Checks = append(r.Checks, check)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Extract)) {
		e := t.Extract[name]
		x := flow.Extract{Name: name, JSON: e.JSON, Header: e.Header}
		var err error
		if x.Var, err = scope.Define(name); err != nil {
			errs = append(errs, &flow.Problem{Field: "extract." + name, Err: err})
		}
		if e.Regex != "" {
			if x.Regex, err = regexp.Compile(e.Regex); err != nil {
				errs = append(errs, &flow.Problem{Field: "extract." + name + ".regex", Err: err})
			}
		}
		if e.JSON == "" && e.Header == "" && x.Regex == nil {
			errs = append(errs, &flow.Problem{Field: "extract." + name, Err: errors.New("want one of json, header and regex")})
		}
		r.Extracts = append(r.Extracts, x)
	}
	return errors.Join(errs...)
}

func short(text string) string {
	if r := []rune(text); len(r) > 30 {
		return string(r[:30]) + "…"
	}
	return text
}

// nameOf is the target's own name, or what it does: the method and the path.
func nameOf(t api.Target) string {
	if t.Name != "" {
		return t.Name
	}
	_, rest, _ := strings.Cut(t.URL, "://")
	path := "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		path = rest[i:]
	}
	path, _, _ = strings.Cut(path, "?")
	if strings.HasPrefix(t.URL, "grpc") {
		return strings.TrimPrefix(path, "/")
	}
	if strings.HasPrefix(t.URL, "ws") {
		return "WS " + path
	}
	if t.Method == "" {
		return http.MethodGet + " " + path
	}
	return t.Method + " " + path
}
