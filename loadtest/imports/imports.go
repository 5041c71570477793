// Package imports makes scenarios of what other tools have: vegeta's target files,
// curl command lines, and HAR archives of browsers.
//
// Secrets are never copied: what looks like one becomes a reference ${env:NAME}, and
// a warning says which variable to set.
package imports

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// Request is one that was read.
type Request struct {
	Line     int // where it begins; 0 in a HAR archive
	Method   string
	URL      string
	Header   []Field
	Body     string
	BodyFile string
}

// Field is a line of a header.
type Field struct{ Name, Value string }

// Import is what was read, and what the person who reads the scenario must know.
type Import struct {
	Requests []Request
	Steps    bool // they follow each other, as in a browser's session
	Warnings []string
	HTTP2    bool
	Insecure bool // certificates are not checked
}

func (i *Import) warn(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(i.Warnings, w) {
		i.Warnings = append(i.Warnings, w)
	}
}

// Plan is the rate of the scenario, which no format has.
type Plan struct {
	Name     string
	Rate     float64 // requests a second; of steps, all of them so often a second
	Duration string  // such as 30s
}

// YAML is the scenario, without secrets.
func (i *Import) YAML(p Plan) ([]byte, error) {
	for n, r := range i.Requests {
		if err := r.checkText(); err != nil {
			return nil, fmt.Errorf("request %d, %s %s: %w", n+1, r.Method, quote(redacted(r.URL)), err)
		}
	}
	s := newSecrets(i)
	var targets []yaml.MapSlice
	for _, r := range i.Requests {
		targets = append(targets, s.target(r))
	}
	key := "targets"
	if i.Steps {
		key = "steps"
	}
	spec := yaml.MapSlice{{Key: key, Value: targets}}
	if i.HTTP2 {
		spec = append(spec, yaml.MapItem{Key: "http2", Value: true})
	}
	if i.Insecure {
		spec = append(spec, yaml.MapItem{Key: "tls", Value: yaml.MapSlice{{Key: "skipVerify", Value: true}}})
	}
	spec = append(spec,
		yaml.MapItem{Key: "stages", Value: []yaml.MapSlice{{{Key: "rate", Value: p.Rate}, {Key: "duration", Value: p.Duration}}}},
		yaml.MapItem{Key: "thresholds", Value: []string{"success > 99.9%"}})
	return yaml.MarshalWithOptions(yaml.MapSlice{
		{Key: "apiVersion", Value: "kongdao.io/v1"},
		{Key: "kind", Value: "Scenario"},
		{Key: "metadata", Value: yaml.MapSlice{{Key: "name", Value: p.Name}}},
		{Key: "spec", Value: spec},
	}, yaml.IndentSequence(true))
}

// checkText wants what a YAML file can hold.
func (r Request) checkText() error {
	text := r.URL
	for _, f := range r.Header {
		text += f.Name + f.Value
	}
	if !isText(text) || strings.ContainsAny(text, "\r\n") {
		return errors.New("its address or header is not text")
	}
	if !isText(r.Body) {
		return errors.New("its body is not text: put it into a file, and name it as bodyFile")
	}
	return nil
}

func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' || r == '\ufeff' || r == 0xfffe || r == 0xffff || r == '\u2028' || r == '\u2029'
	}) < 0
}

// secrets replaces them, equal ones by the same name.
type secrets struct {
	of    *Import
	names map[string]string // secret to name of a variable
}

func newSecrets(i *Import) *secrets { return &secrets{of: i, names: map[string]string{}} }

// suspicious are names of headers, parameters and fields whose values are secrets.
var suspicious = regexp.MustCompile(`(?i)(^|[-_.\[])(authorization|cookie|password|passwd|pwd|secret|token|api[-_]?key|apikey|access[-_]?key|sign|signature|sig|session|sessionid|sid|csrf|xsrf|jwt|credential|credentials|auth|otp|pin)s?($|[-_.\]])|token$|secret$|password$`)

func (s *secrets) reference(what, name, secret string) string {
	variable, known := s.names[secret]
	if !known {
		variable = s.free(name)
		s.names[secret] = variable
	}
	s.of.warn("%s %s holds a secret, which was not copied: set %s", what, name, variable)
	return "${env:" + variable + "}"
}

// free is a name of a variable that no other secret has.
func (s *secrets) free(name string) string {
	base := strings.Map(func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, name)
	if base == "" || unicode.IsDigit(rune(base[0])) {
		base = "_" + base
	}
	taken := slices.Collect(maps.Values(s.names))
	for n := 2; ; n++ {
		if !slices.Contains(taken, base) {
			return base
		}
		base = fmt.Sprintf("%s_%d", strings.TrimSuffix(base, fmt.Sprintf("_%d", n-1)), n)
	}
}

func (s *secrets) target(r Request) yaml.MapSlice {
	t := yaml.MapSlice{{Key: "method", Value: r.Method}}
	address, user := s.url(r.URL)
	t = append(t, yaml.MapItem{Key: "url", Value: address})
	header := yaml.MapSlice{}
	has := map[string]bool{}
	for _, f := range append(slices.Clone(r.Header), user...) {
		name := strings.ToLower(f.Name)
		if has[name] {
			s.of.warn("header %s is given more than once: the first was taken", name)
			continue
		}
		has[name] = true
		value := escape(f.Value)
		if suspicious.MatchString(name) && f.Value != "" {
			value = s.reference("header", name, f.Value)
		}
		header = append(header, yaml.MapItem{Key: name, Value: value})
	}
	if len(header) > 0 {
		t = append(t, yaml.MapItem{Key: "headers", Value: header})
	}
	if r.BodyFile != "" {
		t = append(t, yaml.MapItem{Key: "bodyFile", Value: r.BodyFile})
	} else if r.Body != "" {
		t = append(t, yaml.MapItem{Key: "body", Value: s.body(r.Body)})
	}
	return t
}

// url takes the user out of an address, and secrets out of its query.
func (s *secrets) url(address string) (string, []Field) {
	u, err := url.Parse(address)
	if err != nil {
		return escape(address), nil
	}
	var header []Field
	if u.User != nil {
		header = append(header, Field{"authorization", u.User.String()})
		u.User = nil
		s.of.warn("the user in the address of %s became the header authorization: its value is \"Basic \" and the base64 of user:password", u.Host)
	}
	u.Fragment = ""
	var query []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, found := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); found && value != "" && err == nil && suspicious.MatchString(plain) {
			query = append(query, name+"="+s.reference("parameter", plain, value))
			continue
		}
		query = append(query, escape(pair))
	}
	u.RawQuery = ""
	text := escape(u.String())
	if joined := strings.Join(query, "&"); joined != "" {
		text += "?" + joined
	}
	return text, header
}

// field finds values of JSON's and of form's fields.
var (
	jsonField = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"(\s*:\s*)(?:"((?:[^"\\]|\\.)*)"|(-?[0-9][0-9.eE+-]*))`)
	formField = regexp.MustCompile(`(^|&)([^=&\s{}"]+)=([^&]*)`)
)

// body replaces values of fields with suspicious names.
func (s *secrets) body(text string) string {
	if strings.HasPrefix(strings.TrimSpace(text), "{") || strings.HasPrefix(strings.TrimSpace(text), "[") {
		return s.replace(text, jsonField, 1, 3)
	}
	return s.replace(text, formField, 2, 3)
}

func (s *secrets) replace(text string, fields *regexp.Regexp, name, value int) string {
	var b strings.Builder
	last := 0
	for _, m := range fields.FindAllStringSubmatchIndex(text, -1) {
		at := m[2*value:]
		if at[0] < 0 { // a number of JSON is the group after
			at = at[2:]
		}
		key, secret := text[m[2*name]:m[2*name+1]], text[at[0]:at[1]]
		if secret == "" || !suspicious.MatchString(key) {
			continue
		}
		b.WriteString(escape(text[last:at[0]]))
		b.WriteString(s.reference("field", key, secret))
		last = at[1]
	}
	b.WriteString(escape(text[last:]))
	return b.String()
}

// escape keeps what looks like a template, or like a reference, as it is.
func escape(text string) string {
	text = strings.ReplaceAll(text, "{{", `{{"{{"}}`)
	return strings.ReplaceAll(text, "${", `{{"${"}}`)
}
