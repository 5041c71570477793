package grpcjson

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Transcoder finds the methods of some services that calls are for.
type Transcoder struct {
	set   *Set
	root  *node
	verbs map[string]bool
	rules []rule
}

// node is a place in the tree of all templates.
type node struct {
	next  map[string]*node
	here  map[string]bound // by HTTP method and verb
	stars bool             // it is that of **
}

// bound is a rule of a method.
type bound struct {
	method method
	rule   rule
}

// Call is what becomes of a call.
type Call struct {
	// Method is what a pod is asked for, /package.Service/Method; empty where the
	// gateway refuses with Status, because of Reason.
	Method string
	Status int
	Reason string
	// ClientStreams and ServerStreams tell that the body of the request, or of the
	// answer, is a JSON array of messages.
	ClientStreams, ServerStreams bool
}

// Transcoder is that of services, by full name. With auto, methods without rules are
// called by POST to /package.Service/Method. It fails on what gateways would refuse,
// and on rules that take each other's calls.
func (s *Set) Transcoder(services []string, auto bool) (*Transcoder, error) {
	t := &Transcoder{set: s, root: &node{}, verbs: map[string]bool{}}
	for _, name := range services {
		methods, ok := s.services[name]
		if !ok {
			return nil, fmt.Errorf("service %s is not in the descriptor set, which has %s", name, strings.Join(s.Services(), ", "))
		}
		before := len(t.rules)
		for _, m := range methods {
			if len(m.rules) == 0 && auto {
				m.rules = []rule{{method: http.MethodPost, text: m.path, segments: strings.Split(m.path[1:], "/"), body: one}}
			}
			for _, r := range m.rules {
				if err := t.add(m, r); err != nil {
					return nil, fmt.Errorf("method %s: %w", m.path, err)
				}
			}
		}
		if len(t.rules) == before {
			return nil, fmt.Errorf("service %s has no method with google.api.http, want rules or autoMapping: true", name)
		}
	}
	return t, nil
}

func (t *Transcoder) add(m method, r rule) error {
	for _, v := range r.variables {
		if _, ok := t.set.find(m.input, v.path); !ok {
			return fmt.Errorf("%s names the field %s, which %s has not", r, strings.Join(v.path, "."), m.input)
		}
	}
	if _, ok := t.set.find(m.input, strings.Split(r.body, ".")); !ok && r.body != "" && r.body != one {
		return fmt.Errorf("the body of %s is the field %s, which %s has not", r, r.body, m.input)
	}
	at := t.root
	for _, s := range r.segments {
		if at.next == nil {
			at.next = map[string]*node{}
		}
		if at.next[s] == nil {
			at.next[s] = &node{stars: s == many}
		}
		at = at.next[s]
	}
	key := r.method + r.verb
	if other, taken := at.here[key]; taken {
		return fmt.Errorf("%s takes the same calls as %s of %s", r, other.rule, other.method.path)
	}
	if at.here == nil {
		at.here = map[string]bound{}
	}
	at.here[key] = bound{m, r}
	if r.verb != "" {
		t.verbs[r.verb] = true
	}
	t.rules = append(t.rules, r)
	return nil
}

// Match tells what becomes of a call with an HTTP method, a path and a query without
// its question mark. With lenient, parameters that no field has are left out. It
// does not look at the body.
func (t *Transcoder) Match(method, path, query string, lenient bool) Call {
	parts, verb := t.split(path)
	b, ok := t.root.look(parts, method+verb)
	if !ok {
		return Call{Status: http.StatusNotFound, Reason: fmt.Sprintf("no method is called by %s %s", method, path)}
	}
	for _, v := range b.rule.variables {
		f, _ := t.set.find(b.method.input, v.path)
		if value := v.value(parts); !f.takes(value) {
			return Call{Status: http.StatusBadRequest, Reason: fmt.Sprintf("%q is no value of the field %s", value, strings.Join(v.path, "."))}
		}
	}
	if reason := t.wrongQuery(b.method.input, query, lenient); reason != "" {
		return Call{Status: http.StatusBadRequest, Reason: reason}
	}
	return Call{Method: b.method.path, ClientStreams: b.method.clientMany, ServerStreams: b.method.serverMany}
}

// split takes a path apart: its segments without empty ones at the end, and the verb
// behind the last colon where a rule has such a one.
func (t *Transcoder) split(path string) (parts []string, verb string) {
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') && t.verbs[path[i+1:]] {
		path, verb = path[:i], path[i+1:]
	}
	if path != "" {
		parts = strings.Split(path[1:], "/")
	}
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts, verb
}

// look finds the rule for segments: literal ones first, then *, then **.
func (n *node) look(parts []string, key string) (bound, bool) {
	if len(parts) == 0 {
		if b, ok := n.here[key]; ok {
			return b, true
		}
		if all := n.next[many]; all != nil {
			b, ok := all.here[key]
			return b, ok
		}
		return bound{}, false
	}
	keys := []string{parts[0], one, many}
	if n.stars {
		keys = keys[:1]
	}
	for _, k := range keys {
		if next := n.next[k]; next != nil {
			if b, ok := next.look(parts[1:], key); ok {
				return b, true
			}
		}
	}
	if n.stars {
		return n.look(parts[1:], key)
	}
	return bound{}, false
}

// value is what a path gives a variable.
func (v variable) value(parts []string) string {
	end := v.end
	if end < 0 {
		end += len(parts) + 1
	}
	value := strings.Join(parts[min(v.start, len(parts)):max(min(end, len(parts)), min(v.start, len(parts)))], "/")
	if plain, err := url.PathUnescape(value); err == nil {
		return plain
	}
	return value
}

// wrongQuery says what is wrong with parameters, or nothing. Those without = are
// none.
func (t *Transcoder) wrongQuery(input, query string, lenient bool) string {
	for _, p := range strings.Split(query, "&") {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			continue
		}
		f, found := t.set.find(input, t.names(name))
		switch {
		case !found && !lenient:
			return fmt.Sprintf("the parameter %s is no field of %s", name, input)
		case !found:
			continue
		}
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		if !f.takes(value) {
			return fmt.Sprintf("%q is no value of the field %s", value, name)
		}
	}
	return ""
}

// names are those of a parameter's path.
func (t *Transcoder) names(parameter string) []string {
	names := strings.Split(parameter, ".")
	for i, n := range names {
		if plain, err := url.PathUnescape(n); err == nil {
			names[i] = plain
		}
	}
	return names
}

// takes tells whether a text is a value of the field, as far as its kind shows it.
func (f field) takes(text string) bool {
	var err error
	switch f.kind {
	case protoreflect.BoolKind:
		return text == "true" || text == "false"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		_, err = strconv.ParseInt(text, 10, 32)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		_, err = strconv.ParseInt(text, 10, 64)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		_, err = strconv.ParseUint(text, 10, 32)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		_, err = strconv.ParseUint(text, 10, 64)
	}
	return err == nil
}

// Rules are all ways to call a method, such as "GET /v1/items/{id}", sorted.
func (t *Transcoder) Rules() []string {
	all := map[string]bool{}
	for _, r := range t.rules {
		all[r.String()] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// Reaches tells whether a path with these segments can be one of a rule: wild tells
// which stand for any one segment, and open that any more may follow.
func (t *Transcoder) Reaches(segments []string, wild func(string) bool, open bool) bool {
	return slices.ContainsFunc(t.rules, func(r rule) bool {
		path := slices.Clone(segments)
		if r.verb != "" && len(path) > 0 {
			path[len(path)-1] = strings.TrimSuffix(path[len(path)-1], ":"+r.verb)
		}
		return meet(path, r.segments, wild, open)
	})
}

func meet(path, template []string, wild func(string) bool, open bool) bool {
	switch {
	case len(path) == 0 && (open || len(template) == 0):
		return true
	case len(path) == 0:
		return len(template) == 1 && template[0] == many
	case len(template) == 0:
		return false
	case template[0] == many:
		return true // what follows it is rare, and Match knows
	case template[0] == one || wild(path[0]) || path[0] == template[0]:
		return meet(path[1:], template[1:], wild, open)
	}
	return false
}
