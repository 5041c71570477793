package api

import (
	"fmt"
	"strconv"
	"strings"
)

// Handling is how calls are carried: of all routes of a function, or of one.
// What a route sets takes the place of what its function sets; header changes of
// both are made.
type Handling struct {
	CORS            *CORS         `yaml:"cors" json:"cors,omitempty"`
	RequestHeaders  HeaderChanges `yaml:"requestHeaders" json:"requestHeaders,omitzero"`    // of requests to pods
	ResponseHeaders HeaderChanges `yaml:"responseHeaders" json:"responseHeaders,omitzero"`  // of answers to callers
	IdleTimeout     Duration      `yaml:"idleTimeout" json:"idleTimeout,omitempty"`         // without a byte in either direction; 0: 5 m
	MaxRequestBytes Size          `yaml:"maxRequestBytes" json:"maxRequestBytes,omitempty"` // of a body; 0: not limited
	Compression     bool          `yaml:"compression" json:"compression,omitempty"`         // of answers, by gzip, brotli or zstd as the caller accepts them
	Transcode       *Transcode    `yaml:"transcode" json:"transcode,omitempty"`             // JSON for callers, gRPC for pods
}

// CORS lets pages of other origins call. The gateway answers preflights itself,
// without a key.
type CORS struct {
	Origins     []Matcher `yaml:"origins" json:"origins"`                   // https://app.example.com, https://*.example.com, * or {regex: …}
	Methods     []string  `yaml:"methods" json:"methods,omitempty"`         // empty: the route's; without any, GET, HEAD, POST, PUT, PATCH and DELETE
	Headers     []string  `yaml:"headers" json:"headers,omitempty"`         // that pages may send besides the simple ones; * for any without credentials
	Expose      []string  `yaml:"expose" json:"expose,omitempty"`           // that pages may read of answers
	Credentials bool      `yaml:"credentials" json:"credentials,omitempty"` // cookies and the like are sent
	MaxAge      Duration  `yaml:"maxAge" json:"maxAge,omitempty"`           // that browsers keep a preflight's answer; 0: their own choice
}

// HeaderChanges are made in the order remove, set, add. Values are sent as they
// are written.
type HeaderChanges struct {
	Set    map[string]string `yaml:"set" json:"set,omitempty"` // in place of what there is
	Add    map[string]string `yaml:"add" json:"add,omitempty"` // beside what there is
	Remove []string          `yaml:"remove" json:"remove,omitempty"`
}

// Redirect sends callers elsewhere. What is not given stays as it was asked for.
type Redirect struct {
	Status    int    `yaml:"status" json:"status" want:"301, 302, 303, 307 or 308"` // 0: 302
	HTTPS     bool   `yaml:"https" json:"https,omitempty"`
	Host      string `yaml:"host" json:"host,omitempty"`
	Port      int    `yaml:"port" json:"port,omitempty" want:"a port from 1 to 65535"`
	Path      string `yaml:"path" json:"path,omitempty"` // as Route.Rewrite
	DropQuery bool   `yaml:"dropQuery" json:"dropQuery,omitempty"`
}

// Respond is an answer of the gateway itself.
type Respond struct {
	Status  int               `yaml:"status" json:"status" want:"a status from 200 to 599"`
	Body    string            `yaml:"body" json:"body,omitempty"` // at most 4096 bytes
	Headers map[string]string `yaml:"headers" json:"headers,omitempty"`
}

// Retries says what is tried again besides requests that reached no pod.
type Retries struct {
	Off      bool     `yaml:"off" json:"off,omitempty"`
	Attempts int      `yaml:"attempts" json:"attempts,omitempty" want:"a whole number from 1 to 10"` // after the first; 0: 4
	On       []string `yaml:"on" json:"on,omitempty"`                                                // RetryConditions, or statuses such as "503"; empty: as Idempotent says
	BackOff  BackOff  `yaml:"backOff" json:"backOff,omitzero"`
	Budget   Percent  `yaml:"budget" json:"budget,omitempty"` // retries in flight, of all requests in flight to the revision; 0: 20% where answers are retried, else none
}

// BackOff is the time between tries, random around Base at first.
type BackOff struct {
	Base Duration `yaml:"base" json:"base,omitempty"` // 0: 5 ms
	Max  Duration `yaml:"max" json:"max,omitempty"`   // 0: ten times Base
}

// Mirror sends copies of calls to a revision, whose answers nobody sees. Copies
// count in no limit and are no calls of the call log.
type Mirror struct {
	Function string  `yaml:"function" json:"function,omitempty"` // empty: the same
	Revision string  `yaml:"revision" json:"revision"`
	Percent  Percent `yaml:"percent" json:"percent"`
}

// Protocol is what the pods of a revision speak.
type Protocol string

// The protocols of pods. The zero value is HTTP1.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "h2"   // without TLS
	GRPC  Protocol = "grpc" // h2, and healthCheck.path is not asked for
)

// Size is a number of bytes, written as 65536, 64KiB, 10MiB or 1GiB; 1 PiB at most.
type Size int64

// String is the size as a person would write it.
func (s Size) String() string {
	switch {
	case s > 0 && s%(1<<30) == 0:
		return strconv.FormatInt(int64(s>>30), 10) + "GiB"
	case s > 0 && s%(1<<20) == 0:
		return strconv.FormatInt(int64(s>>20), 10) + "MiB"
	case s > 0 && s%(1<<10) == 0:
		return strconv.FormatInt(int64(s>>10), 10) + "KiB"
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalText reads 65536, 64KiB, 10MiB and 1GiB.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = n, bytes
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > 1<<50/unit {
		return fmt.Errorf("is %s, want a size such as 65536, 64KiB or 10MiB", quote(string(text)))
	}
	*s = Size(v * unit)
	return nil
}

// UnmarshalJSON reads the number that a Size is in JSON.
func (s *Size) UnmarshalJSON(text []byte) error {
	return s.UnmarshalText([]byte(strings.Trim(string(text), `"`)))
}
