package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Config says how an outbox delivers.
type Config struct {
	Dir    string        // of the journal; made when missing
	Limit  int           // messages to one robot in any Window
	Window time.Duration // a little more than the robot's own, for clocks and ways differ
	// Reserve is how many of Limit only pages may use.
	Reserve int
	// FirstRetry is the wait after a first failure; it doubles up to LastRetry.
	FirstRetry, LastRetry time.Duration
	// Silence is how long a robot is left alone that said it was sent too much.
	Silence  time.Duration
	Timeout  time.Duration // of one try
	Renderer dingtalk.Renderer
	// Patience is how long a page waits in its channel before it is handed to the
	// channel's fallback; other messages wait ten times as long.
	Patience time.Duration
	// GiveUp is how long a message is tried that no fallback takes.
	GiveUp   time.Duration
	Channels []Channel // see SetChannels
	// Fallback is the channel that is handed what the others cannot deliver and that
	// name no fallback of their own; empty: none.
	Fallback string
	// Notify delivers a group to the receiver of a channel that has one; nil: there
	// are no receivers.
	Notify Notify
	// Record is told what becomes of messages, in order; nil: nobody is. The outbox
	// is locked meanwhile. An event may be told again after a restart, by the same ID.
	Record func(...Event)
	// Mirrored keeps what is written for peers; see [Outbox.Follow].
	Mirrored bool
	// Hold returns when messages of an earlier run may be sent: peers may have done
	// so. Nil: at once.
	Hold func(context.Context)
	// Recorded returns when all that Record was told is safe; nil: it is at once.
	Recorded func() error
}

// DefaultConfig is what DingTalk's robots bear, for a journal in dir.
func DefaultConfig(dir string) Config {
	return Config{
		Dir:        dir,
		Limit:      dingtalk.RobotLimit - 2,
		Window:     61 * time.Second,
		Reserve:    3,
		FirstRetry: time.Second,
		LastRetry:  time.Minute,
		Silence:    dingtalk.Punishment + 10*time.Second,
		Timeout:    10 * time.Second,
		Patience:   2 * time.Minute,
		GiveUp:     24 * time.Hour,
	}
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
	check(c.Limit > 0, "limit: %d, must be at least 1", c.Limit)
	check(c.Reserve >= 0 && c.Reserve < max(c.Limit, 1), "reserve: %d, must be at least 0 and below limit", c.Reserve)
	check(c.Window > 0, "window: %s, must be positive", c.Window)
	check(c.FirstRetry > 0 && c.FirstRetry <= c.LastRetry, "firstRetry: %s, must be positive and at most lastRetry", c.FirstRetry)
	check(c.Silence > 0, "silence: %s, must be positive", c.Silence)
	check(c.Timeout > 0, "timeout: %s, must be positive", c.Timeout)
	check(c.Patience > 0, "patience: %s, must be positive", c.Patience)
	check(c.GiveUp > 0, "giveUp: %s, must be positive", c.GiveUp)
	return errors.Join(append(errs, ValidateChannels(c.Channels))...)
}

// Send delivers one message to one robot; see [dingtalk.KindOf] for what its
// errors mean.
type Send func(ctx context.Context, robot string, m dingtalk.Message) error

// Notify delivers one group to a receiver that is no robot; its errors mean what
// those of [Send] do.
type Notify func(ctx context.Context, receiver string, g dingtalk.Group) error
