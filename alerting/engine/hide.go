package engine

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	amconfig "github.com/prometheus/alertmanager/config"
	amcommon "github.com/prometheus/alertmanager/config/common"
	commoncfg "github.com/prometheus/common/config"
)

// secrets are those of the configuration. Alertmanager's integrations put into errors
// what the other side answers, and that may be our request, with all that is in it.
type secrets struct {
	mu      sync.Mutex
	known   map[string]bool                  // of all configurations so far: what is under way has those of the last one
	replace atomic.Pointer[strings.Replacer] // nil: there are none
}

// add makes known what a configuration holds.
func (s *secrets) add(conf *amconfig.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]bool{}
	}
	collect(reflect.ValueOf(conf), s.known)
	all := slices.SortedFunc(maps.Keys(s.known), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // whole before parts
	var pairs []string
	for _, text := range all {
		pairs = append(pairs, text, "<secret>")
	}
	s.replace.Store(strings.NewReplacer(pairs...))
}

func (s *secrets) hide(text string) string {
	if r := s.replace.Load(); r != nil {
		return r.Replace(text)
	}
	return text
}

func (s *secrets) hideError(err error) error {
	if err == nil {
		return nil
	}
	if text := s.hide(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// found adds a secret in all forms in which it may be written.
func found(text string, known map[string]bool) {
	for _, form := range []string{text, url.QueryEscape(text), url.PathEscape(text)} {
		if len(form) >= 4 { // less is no secret, and would be found in every word
			known[form] = true
		}
	}
}

// foundURL adds what is secret in an address: parameters, long parts of the path, which
// chats have for tokens, the password, and all of it.
func foundURL(u *url.URL, known map[string]bool) {
	found(u.String(), known)
	for _, values := range u.Query() {
		for _, value := range values {
			found(value, known)
		}
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) >= 16 {
			found(part, known)
		}
	}
	if password, ok := u.User.Password(); ok {
		found(password, known)
		found(basic(u.User.Username(), password), known)
	}
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// collect adds the secrets of any part of a configuration.
func collect(v reflect.Value, known map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			collect(v.Elem(), known)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			collect(v.Index(i), known)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			collect(v.MapIndex(key), known)
		}
	case reflect.String, reflect.Struct:
		if v.CanInterface() && !collectOne(v.Interface(), known) && v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				collect(v.Field(i), known)
			}
		}
	}
}

// collectOne reports whether x was a secret as a whole.
func collectOne(x any, known map[string]bool) bool {
	switch x := x.(type) {
	case commoncfg.Secret:
		found(string(x), known)
	case amcommon.SecretTemplateURL:
		found(string(x), known)
		if u, err := url.Parse(string(x)); err == nil {
			foundURL(u, known)
		}
	case amcommon.SecretURL:
		if x.URL != nil {
			foundURL(x.URL, known)
		}
	case commoncfg.BasicAuth:
		found(basic(x.Username, string(x.Password)), known)
		found(string(x.Password), known)
	default:
		return false
	}
	return true
}

// hider is a log without secrets.
type hider struct {
	slog.Handler
	*secrets
}

// Handle writes a record without them.
func (h hider) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.hide(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs is a log with these in every record.
func (h hider) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		all[i] = h.attr(a)
	}
	return hider{h.Handler.WithAttrs(all), h.secrets}
}

// WithGroup is a log whose attributes are in a group.
func (h hider) WithGroup(name string) slog.Handler {
	return hider{h.Handler.WithGroup(name), h.secrets}
}

func (h hider) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		var all []slog.Attr
		for _, x := range v.Group() {
			all = append(all, h.attr(x))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(all...)}
	case slog.KindString, slog.KindAny:
		text := v.String()
		if v.Kind() == slog.KindAny {
			text = fmt.Sprint(v.Any())
		}
		if hidden := h.hide(text); hidden != text {
			return slog.String(a.Key, hidden)
		}
	}
	return a
}
