package dingtalk

import (
	"errors"
	"net"
)

// MaybeAccepted reports whether a message that failed with err may have been taken
// nevertheless: it left, and no verdict came back. Sent again, it may arrive twice.
func MaybeAccepted(err error) bool {
	e, ok := errors.AsType[*SendError](err)
	if !ok || e.Kind != Transient {
		return false
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return false
	}
	return e.Code == 0
}
