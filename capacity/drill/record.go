package drill

import (
	"time"
)

// Order asks for a drill.
type Order struct {
	Zone   string
	By     string // "command" or "practice"
	Config Config
	Force  bool // also when the other zones cannot take over
	Kill   bool // the zone's pods end at once instead of being drained: a test fleet's alone
	Dry    bool // look and predict alone
}

// State is how a drill stands.
type State string

// The states of a drill; all but Running are final.
const (
	Planned     State = "planned" // a dry run, or one that could not be begun: nothing was moved
	Refused     State = "refused" // by the pre-check: nothing was moved
	Running     State = "running"
	Done        State = "done"
	TakenBack   State = "taken back"  // an objective broke, somebody ended it, or a step failed
	Interrupted State = "interrupted" // the process ended in the middle; the zone was restored at its next start
)

// Record is all that is known of one drill, for its report and for the history.
type Record struct {
	ID       string     `json:"id"`
	Zone     string     `json:"zone"`
	By       string     `json:"by"`
	Kill     bool       `json:"kill,omitempty"`
	Forced   bool       `json:"forced,omitempty"`
	State    State      `json:"state"`
	Began    time.Time  `json:"began"`
	Ended    time.Time  `json:"ended,omitzero"`
	Precheck Precheck   `json:"precheck"`
	Forecast []Forecast `json:"forecast"`
	Events   []Event    `json:"events"`
	Seen     *Seen      `json:"seen,omitempty"`
	Alerts   []Outcome  `json:"alerts"`
	Restored bool       `json:"restored"`        // the zone has its full share again
	Error    string     `json:"error,omitempty"` // why it was not carried out
	Notes    []string   `json:"notes,omitempty"` // what could not be looked at

	// When it was moved: the first step, the last one, the first one back, the end.
	Moved    time.Time `json:"moved,omitzero"`
	Emptied  time.Time `json:"emptied,omitzero"`
	Returned time.Time `json:"returned,omitzero"`
}

// Seen is what the call log says of a drill.
type Seen struct {
	// EmptySeconds is from the first step until the last call began at a pod of the
	// zone; below 0: none did.
	EmptySeconds     float64        `json:"empty_s"`
	Calls            uint64         `json:"calls"`             // from the first step to the end
	Failed           uint64         `json:"failed"`            // of these, 5xx
	FailedIdempotent uint64         `json:"failed_idempotent"` // of these, GET, HEAD, OPTIONS, PUT and DELETE
	Functions        []SeenFunction `json:"functions"`         // sorted by name, with calls while the zone was empty
}

// SeenFunction is what a function's callers saw while the zone was empty.
type SeenFunction struct {
	Function string        `json:"function"`
	QPS      float64       `json:"qps"` // refused ones too
	Refused  float64       `json:"refused"`
	Failed   float64       `json:"failed"`
	Before   time.Duration `json:"p99_before_ns"` // in the minute before the drill
	P99      time.Duration `json:"p99_ns"`        // of calls that were not refused
	Zones    []SeenZone    `json:"zones"`
}

// SeenZone is what a zone's pods carried.
type SeenZone struct {
	Zone string        `json:"zone"`
	QPS  float64       `json:"qps"`
	P99  time.Duration `json:"p99_ns"`
}

// Alert is a firing alert.
type Alert struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

// Outcome is an alert that fired during a drill, or that should have.
type Outcome struct {
	Alert
	Expected bool `json:"expected"`
	Fired    bool `json:"fired"`
}

// matches tells whether a is what other asks for.
func (a Alert) matches(want Alert) bool {
	if a.Name != want.Name {
		return false
	}
	for k, v := range want.Labels {
		if a.Labels[k] != v {
			return false
		}
	}
	return true
}

// What the shipped rules need until they fire, with some room for scrapes.
const (
	zoneDownAfter = 20 * time.Second
	refusalsAfter = 45 * time.Second
)

// expected are the alerts that a drill ought to raise. A drained zone raises none: its
// pods are out of rotation. What the hold is too short for is not expected.
func (r Record) expected(hold time.Duration) (all []Alert) {
	if r.Kill && hold >= zoneDownAfter {
		all = append(all, Alert{"ZoneDown", map[string]string{"zone": r.Zone}})
	}
	for _, f := range r.Forecast {
		if hold >= refusalsAfter && f.Refused > 0.02 && f.Refused*f.Offered > 0.5 {
			all = append(all, Alert{"CapacityRefusals", map[string]string{"function": f.Function}})
		}
	}
	return all
}

// outcomes compares what fired with what should have.
func outcomes(expected, fired []Alert) []Outcome {
	out := []Outcome{}
	for _, want := range expected {
		o := Outcome{Alert: want, Expected: true}
		for _, a := range fired {
			o.Fired = o.Fired || a.matches(want)
		}
		out = append(out, o)
	}
	for _, a := range fired {
		known := false
		for _, want := range expected {
			known = known || a.matches(want)
		}
		if !known {
			out = append(out, Outcome{Alert: a, Fired: true})
		}
	}
	return out
}
