package outbox

import (
	"slices"
	"time"
)

// lane is what is known about one robot or receiver, whatever channels use it.
type lane struct {
	sends  []time.Time // of the last window, refused ones too
	until  time.Time   // nothing is sent before: silenced, or backing off
	fails  int         // in a row
	flying bool        // a message is on its way
	open   bool        // nothing is known of what came of the last one
	last   time.Time   // when the last one was
}

// arrived is when the last message was taken or refused, at the latest. Those that
// others sent to the robot meanwhile keep their times.
func (l *lane) arrived(at time.Time) {
	if i, known := slices.BinarySearchFunc(l.sends, l.last, time.Time.Compare); known {
		l.sends[i] = at
		slices.SortFunc(l.sends, time.Time.Compare)
	}
}

// forget drops what has left the window.
func (l *lane) forget(now time.Time, window time.Duration) {
	l.sends = slices.DeleteFunc(l.sends, func(t time.Time) bool { return now.Sub(t) >= window })
}

// opens is when the lane takes one more message of at most limit in a window.
func (l *lane) opens(now time.Time, limit int, window time.Duration) time.Time {
	at := now
	if free := limit - len(l.sends); free <= 0 {
		// One place is free once all but one of the limit have left the window.
		at = l.sends[-free].Add(window)
	}
	if l.until.After(at) {
		return l.until
	}
	return at
}

// noLimit is that of receivers.
const noLimit = 1 << 30

// lane of a robot; receivers have a name space of their own.
func (o *Outbox) lane(c Channel, target string) *lane {
	if c.Receiver != "" {
		target = receiverLane(target)
	}
	return o.laneNamed(target)
}

func receiverLane(receiver string) string { return "receiver:" + receiver }

func (o *Outbox) laneNamed(name string) *lane {
	l := o.lanes[name]
	if l == nil {
		l = &lane{}
		o.lanes[name] = l
	}
	return l
}
