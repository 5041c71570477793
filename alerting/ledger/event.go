package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Kind is what happened to a message.
type Kind string

// The kinds.
const (
	Accepted   Kind = "accepted"   // on disk, will be delivered
	Tried      Kind = "tried"      // is about to be sent
	Sent       Kind = "sent"       // the robot or receiver took it, or a part of it
	Digested   Kind = "digested"   // it was taken within a digest of several messages
	Refused    Kind = "refused"    // it was not taken; Reason says why and what follows
	Unanswered Kind = "unanswered" // no answer came: it may have been taken, and is sent again with the same mark
	Superseded Kind = "superseded" // a newer message of the same matter took its place
	Fallback   Kind = "fallback"   // it was handed to the channel By
	Dead       Kind = "dead"       // it was given up on
	Claimed    Kind = "claimed"    // By has taken the matter on
	Released   Kind = "released"   // By no longer has it
	Silenced   Kind = "silenced"   // By has silenced the matter
	Escalated  Kind = "escalated"  // nobody took it on: By is told
)

// Kinds are all of them, in the order of a message's life.
func Kinds() []Kind {
	return []Kind{Accepted, Tried, Sent, Digested, Refused, Unanswered, Superseded, Fallback, Dead, Claimed, Released, Silenced, Escalated}
}

// Ends reports whether nothing more is done about the message itself after an event
// of this kind. Of a message in parts each part is Sent: only [Event.Last] ends it.
func (k Kind) Ends() bool {
	switch k {
	case Sent, Digested, Superseded, Fallback, Dead:
		return true
	}
	return false
}

// Event is one thing that happened to one message. It holds no secret.
type Event struct {
	ID       string    `json:"id"` // 32 hexadecimal digits; see [ID]
	At       time.Time `json:"at"`
	Kind     Kind      `json:"kind"`
	Message  string    `json:"message"`            // which message: the same for all events of one
	Outbox   string    `json:"outbox,omitempty"`   // that holds it; another one after its folder was lost
	Channel  string    `json:"channel"`            // it was addressed to
	Robot    string    `json:"robot,omitempty"`    // or receiver that was tried
	Matter   string    `json:"matter"`             // short name of the group, such as #A3F2
	Sequence uint64    `json:"sequence"`           // of the message: matter-sequence is its mark
	Group    string    `json:"group"`              // Alertmanager's key of the group
	Alert    string    `json:"alert"`              // alertname
	Severity string    `json:"severity,omitempty"` // the worst
	Function string    `json:"function,omitempty"` // that all alerts share; empty: none or several
	Zone     string    `json:"zone,omitempty"`     // as function
	Team     string    `json:"team,omitempty"`     // as function
	Firing   bool      `json:"firing"`
	Alerts   int       `json:"alerts"`           // in the message
	Part     int       `json:"part,omitempty"`   // counted from 1; 0: not about a part
	Last     bool      `json:"last,omitempty"`   // with Sent: that was all of the message
	By       string    `json:"by,omitempty"`     // person, channel or newer mark: whoever came next
	Reason   string    `json:"reason,omitempty"` // why not
	// Content is the whole group, as JSON, of an accepted message: it can be sent again.
	Content json.RawMessage `json:"content,omitempty"`
}

// ID is the name of an event: the same of the same parts, and of no others.
func ID(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		text, _ := json.Marshal(p) // strings, numbers and times always encode
		_ = binary.Write(h, binary.BigEndian, uint32(len(text)))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
