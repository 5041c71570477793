// Package switchover moves traffic in stages, by a plan: away from a zone, or to a
// revision. Each stage is checked before it is taken and watched afterwards; when the
// watch fails everything goes back. At the end date it goes back, too.
//
// How a switch stands is written down before and after each move, so a process that
// ends in the middle goes on where it was. Nothing here knows how traffic is moved:
// that is passed in.
package switchover

import (
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
)

// State is how a switch stands.
type State string

// The states of a switch; Moving and Standing are under way, the others final.
const (
	Planned    State = "planned"     // looked at alone
	Moving     State = "moving"      // on its way through the steps
	Standing   State = "standing"    // at its last step, until the end date
	Expired    State = "expired"     // the end date came, all is restored
	Aborted    State = "aborted"     // by command, all is restored
	RolledBack State = "rolled back" // a gate failed, all is restored
	Overtaken  State = "overtaken"   // somebody else moved the same traffic, and theirs stays
)

// Active tells whether a switch is under way.
func (s State) Active() bool { return s == Moving || s == Standing }

// Record is all that is known of a switch.
type Record struct {
	Name   string                `json:"name"`
	Spec   api.TrafficSwitchSpec `json:"spec"`
	State  State                 `json:"state"`
	Began  time.Time             `json:"began"`
	Ends   time.Time             `json:"ends"` // everything is restored then
	Ended  time.Time             `json:"ended,omitzero"`
	Before int                   `json:"before"`          // percent, before it began
	Step   int                   `json:"step"`            // that was taken last, from 1; 0: none
	Since  time.Time             `json:"since,omitzero"`  // when that was
	Going  int                   `json:"going,omitempty"` // percent of a move whose end is not known; 0: none
	Reset  bool                  `json:"reset,omitempty"` // going back means what the resources say
	Checks []Check               `json:"checks,omitempty"`
	Events []Event               `json:"events"`
	Error  string                `json:"error,omitempty"`
}

// Check is what was found of a step before it was taken.
type Check struct {
	Percent int      `json:"percent"`
	OK      bool     `json:"ok"`
	Figures []string `json:"figures"` // a line for each function
}

// Event is something that happened to a switch.
type Event struct {
	At      time.Time `json:"at"`
	Percent int       `json:"percent"` // moved, after it
	What    string    `json:"what"`
}

// What is the traffic that a plan moves: two plans with the same must not be under way
// together.
func What(s api.TrafficSwitchSpec) string {
	if s.Zone != "" {
		return "zone " + s.Zone
	}
	return "function " + s.Function
}

// percent is what has been moved by the steps taken.
func (r Record) percent() int {
	if r.Step == 0 {
		return r.Before
	}
	return r.Spec.Steps[r.Step-1].Percent
}

// The errors of a switch.
var (
	ErrRefused = errors.New("switch refused")
	ErrMoved   = errors.New("somebody else has moved the same traffic")
	ErrGate    = errors.New("gate failed")
)

// Err is nil when every step may be taken, else an ErrRefused with the figures.
func (r Record) Err() error {
	for _, c := range r.Checks {
		if !c.OK {
			return fmt.Errorf("%w: at %d %%: %s", ErrRefused, c.Percent, c.Figures)
		}
	}
	return nil
}
