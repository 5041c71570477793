package dingtalk

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Kind says what to do about a message that was not accepted.
type Kind int

const (
	// Transient: another try may help. The message may have been accepted
	// where no answer came, so another try can double it.
	Transient Kind = iota
	// Throttled: the robot is silenced for [Punishment]; nothing sent before
	// that is accepted.
	Throttled
	// Permanent: this message to this robot is refused however often it is tried.
	Permanent
)

func (k Kind) String() string {
	return [...]string{"transient", "throttled", "permanent"}[k]
}

const (
	// RobotLimit is how many messages a minute DingTalk takes from one robot.
	RobotLimit = 20
	// Punishment is how long a robot is silenced that went over RobotLimit.
	Punishment = 10 * time.Minute
)

// Codes that DingTalk answers with.
const (
	codeBusy         = -1
	codeThrottled    = 130101
	codeTooLong      = 460101
	codeTooLongOld   = 101002
	codeSecurity     = 310000
	codeUnknownToken = 300001
)

// kindOf maps an errcode. Unknown codes are tried again: losing an alert is
// worse than sending it late, and the outbox gives up in the end.
func kindOf(code int) Kind {
	switch {
	case code == codeThrottled:
		return Throttled
	case code == codeTooLong, code == codeTooLongOld, code == codeSecurity, code == codeUnknownToken,
		code >= 400_000 && code < 401_000:
		return Permanent
	}
	return Transient
}

// SendError says why a message was not accepted. It holds no secret.
type SendError struct {
	Robot   string
	Kind    Kind
	Status  int // of HTTP; 0 when no answer came
	Code    int // errcode; 0 when the body had none
	Message string
	reason  string // code of the OpenAPI; empty when there is none
	cause   error
}

func (e *SendError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "send to robot %s: %s (%s", e.Robot, e.Message, e.Kind)
	if e.Code != 0 {
		fmt.Fprintf(&b, ", errcode %d", e.Code)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ", HTTP %d", e.Status)
	}
	b.WriteString(")")
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

func (e *SendError) Unwrap() error { return e.cause }

// KindOf is the kind of err; an error of another type is transient.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*SendError](err); ok {
		return e.Kind
	}
	return Transient
}

// signature is what proves that a message is ours, for an hour.
var signature = regexp.MustCompile(`\bsign=[^&\s"]+`)

// redact removes our secrets from what the other side says, should it repeat them, in
// whatever form they were sent.
func (c *Client) redact(s string) string {
	return signature.ReplaceAllString(redact(s, c.robot.Secret.Reveal(), c.url.Query().Get("access_token")), "sign=<secret>")
}

func redact(s string, secrets ...string) string {
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if form != "" {
				s = strings.ReplaceAll(s, form, "<secret>")
			}
		}
	}
	return s
}
