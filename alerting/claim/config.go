package claim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Config says what happens to what nobody claims.
type Config struct {
	Dir string // of the book; made when missing
	// After is how long a page goes unclaimed before a step is taken, and how long
	// each step gets; 0: nothing happens by itself.
	After time.Duration
	// Steps are taken one after the other: Next, or the name of a channel.
	Steps      []string
	ClaimFor   time.Duration // how long a claim counts
	SilenceFor time.Duration // how long a silence lasts that is asked for with a button
	Keep       time.Duration // how long a matter that ended is known
	Hooks      Hooks
	Now        func() time.Time // nil: time.Now
}

// Next is the step to the next person on call, in the same channel.
const Next = "next"

// Hooks are how a book acts. They are called one at a time, but for Changed, and
// without the book's lock.
type Hooks struct {
	// Silence keeps the group's alerts from being told until then.
	Silence func(ctx context.Context, g dingtalk.Group, by, comment string, until time.Time) (id string, err error)
	// Fires reports whether any alert of the group fires and is not silenced; what
	// does not is not escalated. Nil: all do.
	Fires func(g dingtalk.Group) bool
	// Tell sends g to a channel. Level counts the steps, from 1.
	Tell func(channel string, g dingtalk.Group) error
	// Refused is told why an answer had no effect; nil: nobody wants to know.
	Refused func(Answer, error)
	// Changed is called with each new state that a card shows; nil: nobody wants to
	// know.
	Changed func(State)
	// Record is told what was done, for the ledger; nil: nobody is.
	Record func(Event)
}

// Event is something that was done about a matter.
type Event struct {
	ID    string // the same of the same deed, however often it is told
	At    time.Time
	Kind  Kind
	State State
	By    string // person or, of steps upwards, channel
	// Reason says how: via which way, until when, why.
	Reason string
}

// Kind is what was done.
type Kind string

// The kinds.
const (
	Claimed   Kind = "claimed"
	Released  Kind = "released"
	Silenced  Kind = "silenced"
	Escalated Kind = "escalated"
)

// DefaultConfig escalates nothing, for a book in dir.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, ClaimFor: 4 * time.Hour, SilenceFor: 30 * time.Minute, Keep: 24 * time.Hour}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Dir != "", "dir: must not be empty")
	check(c.After >= 0, "after: %s, must not be negative", c.After)
	check(c.After == 0 || len(c.Steps) > 0, "steps: must not be empty when after is set")
	check(c.ClaimFor > 0, "claimFor: %s, must be positive", c.ClaimFor)
	check(c.SilenceFor > 0, "silenceFor: %s, must be positive", c.SilenceFor)
	check(c.Keep > 0, "keep: %s, must be positive", c.Keep)
	return errors.Join(errs...)
}
