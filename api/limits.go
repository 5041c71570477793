package api

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Kinds of callers that a limit tells apart.
const (
	PerConsumer = "consumer" // the consumer that the gateway recognized
	PerIP       = "ip"       // the client's address; of IPv6 the first 64 bits
	PerHeader   = "header"   // the value of a header, its first 64 characters
)

// Priorities of requests. When a function's capacity is short, the lowest are
// refused first; load tests come after low.
const (
	PriorityHigh   = "high"
	PriorityNormal = "normal" // what nothing is said about
	PriorityLow    = "low"
)

// CallerLimit gives every caller of a function a rate of its own. All gateways
// together hold it. The zero value is not valid.
type CallerLimit struct {
	Name   string `yaml:"name" json:"name"`                                              // in limited_by; empty: as Per, or the header's name
	Per    string `yaml:"per" json:"per" want:"consumer, ip or header"`                  // who is told apart
	Header string `yaml:"header" json:"header,omitempty"`                                // with per: header; requests without it are one caller
	Rate   Rate   `yaml:"rate" json:"rate"`                                              // such as 10/s, 600/m or 5000/h
	Burst  int    `yaml:"burst" json:"burst,omitempty" want:"a whole number, 1 or more"` // requests at once; 0: a second of Rate, at least 1
}

// Limit is a CallerLimit over several functions: they draw on the same rate.
type Limit struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     LimitSpec `yaml:"spec" json:"spec"`
}

// LimitSpec says who gets how much of which functions.
type LimitSpec struct {
	Per       string   `yaml:"per" json:"per" want:"consumer, ip or header"`                  // as in CallerLimit
	Header    string   `yaml:"header" json:"header,omitempty"`                                // as in CallerLimit
	Rate      Rate     `yaml:"rate" json:"rate"`                                              // of all these functions together
	Burst     int      `yaml:"burst" json:"burst,omitempty" want:"a whole number, 1 or more"` // as in CallerLimit
	Functions []string `yaml:"functions" json:"functions,omitempty"`                          // empty: all
}

// Caller is the limit as one of a function.
func (l *Limit) Caller() CallerLimit {
	return CallerLimit{Name: l.Name, Per: l.Spec.Per, Header: l.Spec.Header, Rate: l.Spec.Rate, Burst: l.Spec.Burst}
}

// MaxCallerLimits is how many caller limits one function can have, those of Limit
// resources included.
const MaxCallerLimits = 4

// Rate is requests a second, written with its unit of time: 10/s, 600/m, 5000/h.
type Rate float64

var ratePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)/(s|m|h)$`)

// String is the rate in the largest of the units in which it is at least one.
func (r Rate) String() string {
	for _, u := range []struct {
		unit    string
		seconds float64
	}{{"s", 1}, {"m", 60}, {"h", 3600}} {
		if n := float64(r) * u.seconds; n >= 1-1e-9 || u.unit == "h" {
			return strconv.FormatFloat(math.Round(n*1e6)/1e6, 'f', -1, 64) + "/" + u.unit
		}
	}
	return ""
}

// MarshalText writes what UnmarshalText reads.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// MarshalJSON writes the rate as text, such as "10/s".
func (r Rate) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalText reads 10/s, 600/m and 5000/h.
func (r *Rate) UnmarshalText(text []byte) error {
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}
	m := ratePattern.FindStringSubmatch(strings.TrimSpace(string(text)))
	if m == nil {
		return fmt.Errorf("is %s, want a rate such as 10/s, 600/m or 5000/h", quote(string(text)))
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return fmt.Errorf("is %s, want a rate such as 10/s, 600/m or 5000/h", quote(string(text)))
	}
	*r = Rate(n / seconds[m[2]])
	return nil
}
