package api

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Secret is text that is never printed. In resources it is written ${env:NAME}
// or ${file:path}; the registry resolves it. The zero value is no secret and
// prints as nothing.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "<secret>"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// Format hides the secret from every verb, %d and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the secret from every encoder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

var secretRef = regexp.MustCompile(`^\$\{(?:env:[A-Za-z_][A-Za-z0-9_]*|file:[^${}\s]+)\}$`)

// Refs are the references of s in the order of the text, each whole, such as
// "${env:NAME}". An error says what is malformed; it never holds the text.
func (s Secret) Refs() ([]string, error) {
	var refs []string
	for rest := string(s); ; {
		start := strings.Index(rest, "${")
		if start < 0 {
			return refs, nil
		}
		end := strings.IndexByte(rest[start:], '}')
		if end < 0 || !secretRef.MatchString(rest[start:start+end+1]) {
			return nil, fmt.Errorf("has a malformed reference, want ${env:NAME} or ${file:path}")
		}
		refs = append(refs, rest[start:start+end+1])
		rest = rest[start+end+1:]
	}
}

// IsRef says whether s is one reference and nothing else.
func (s Secret) IsRef() bool { return secretRef.MatchString(string(s)) }

// Duration is a time.Duration that is written as in Go: 100ms, 1.5s, 2m. It is
// never negative when it was parsed.
type Duration time.Duration

// String is the duration as a person would write it: 1m, not 1m0s.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Std is d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalJSON writes the duration as text, such as "1s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// MarshalText writes the duration as text, such as "1s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what String writes.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("is %s, want a duration such as 100ms, 1.5s or 2m", quote(string(text)))
	}
	*d = Duration(v)
	return nil
}

// Percent is a share in percent, 0 to 100, written as 99.9% or 99.9.
type Percent float64

// Ratio is p as a number from 0 to 1.
func (p Percent) Ratio() float64 { return float64(p) / 100 }

// UnmarshalText reads 99.9% and 99.9.
func (p *Percent) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(string(text), "%")), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("is %s, want a percentage from 0%% to 100%%, such as 99.9%%", quote(string(text)))
	}
	*p = Percent(v)
	return nil
}

// UnmarshalJSON reads the number that a Percent is in JSON. UnmarshalText alone
// would make encoding/json ask for a string.
func (p *Percent) UnmarshalJSON(text []byte) error {
	return p.UnmarshalText([]byte(strings.Trim(string(text), `"`)))
}

// quote is text in quotes, cut where it would fill the screen.
func quote(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return strconv.Quote(text)
}
