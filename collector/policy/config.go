package policy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Redact says what is hidden in the calls that are stored.
type Redact struct {
	// Patterns are the built-in ones to look for, of Patterns.
	Patterns []string

	// Custom are further ones, regular expressions by name. What one matches
	// becomes [name].
	Custom map[string]string

	// Drop and Mask name fields, as CheckField knows them: a dropped one is empty,
	// a masked one that is there becomes ***.
	Drop, Mask []string

	// IPv4Bits and IPv6Bits are how much of a client's address is kept; all of it
	// with 32 and 128, none with 0.
	IPv4Bits, IPv6Bits int
}

// DefaultRedact hides what is recognised as a phone number, an ID card or a secret.
func DefaultRedact() Redact {
	return Redact{Patterns: []string{Phone, IDCard, Token}, IPv4Bits: 32, IPv6Bits: 128}
}

// The built-in patterns.
const (
	Phone  = "phone"  // Chinese mobile numbers, with or without +86, dashes or spaces
	IDCard = "idcard" // Chinese ID card numbers of 18 digits whose date and check digit are right
	Token  = "token"  // JSON web tokens, long random text, values of query parameters such as token or password
	Email  = "email"
)

// Patterns are the names of the built-in patterns.
func Patterns() []string { return []string{Phone, IDCard, Token, Email} }

var customName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// CheckCustom tells what is wrong with a custom pattern; nil when nothing is.
func CheckCustom(name, expression string) error {
	if !customName.MatchString(name) || slices.Contains(Patterns(), name) {
		return fmt.Errorf("is named %q, want a name of its own in lower case, such as order-id", name)
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return fmt.Errorf("is %q, want a regular expression: %w", expression, err)
	}
	for _, mask := range append(Patterns(), name, "") {
		if mask != "" {
			mask = "[" + mask + "]"
		}
		if re.MatchString(mask) {
			return fmt.Errorf("is %q, want a regular expression that does not match %q", expression, mask)
		}
	}
	return nil
}

// Fields are those that Drop and Mask can name, besides query.NAME for one
// parameter and attrs.NAME for one attribute, such as a kept header.
func Fields() []string {
	return []string{"client_ip", "user_agent", "host", "path", "query", "consumer", "load_test", "request_id", "trace_id"}
}

// CheckField tells what is wrong with an item of Drop or Mask.
func CheckField(name string, mask bool) error {
	prefix, rest, dotted := strings.Cut(name, ".")
	if dotted && rest != "" && (prefix == "query" || prefix == "attrs") {
		return nil
	}
	if !slices.Contains(Fields(), name) {
		return fmt.Errorf("is %q, want one of %s, query.NAME, attrs.NAME", name, strings.Join(Fields(), ", "))
	}
	if mask && slices.Contains([]string{"client_ip", "request_id", "trace_id"}, name) {
		return fmt.Errorf("is %q, which is no text: want it in drop", name)
	}
	return nil
}

// Validate lists everything that is wrong with c, each with its field.
func (c Redact) Validate() error {
	var errs []error
	wrong := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	for i, p := range c.Patterns {
		if !slices.Contains(Patterns(), p) {
			wrong(fmt.Sprintf("redact.patterns[%d]", i), fmt.Errorf("is %q, want one of %s", p, strings.Join(Patterns(), ", ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Custom)) {
		wrong("redact.custom."+name, CheckCustom(name, c.Custom[name]))
	}
	for i, name := range c.Drop {
		wrong(fmt.Sprintf("redact.drop[%d]", i), CheckField(name, false))
	}
	for i, name := range c.Mask {
		wrong(fmt.Sprintf("redact.mask[%d]", i), CheckField(name, true))
	}
	if c.IPv4Bits < 0 || c.IPv4Bits > 32 {
		wrong("clientIP.ipv4Bits", fmt.Errorf("is %d, want a whole number from 0 to 32", c.IPv4Bits))
	}
	if c.IPv6Bits < 0 || c.IPv6Bits > 128 {
		wrong("clientIP.ipv6Bits", fmt.Errorf("is %d, want a whole number from 0 to 128", c.IPv6Bits))
	}
	return errors.Join(errs...)
}

// mentions tells whether a rule names the field.
func (c Redact) mentions(field string) bool {
	return slices.Contains(c.Drop, field) || slices.Contains(c.Mask, field)
}

// wholeLine tells whether a raw log line may be stored: it holds every field, so
// not when one is to be hidden.
func (c Redact) wholeLine() bool {
	return len(c.Drop) == 0 && len(c.Mask) == 0 && c.IPv4Bits == 32 && c.IPv6Bits == 128 && !c.mentions("attrs."+calllog.AttrLine)
}
