package als

import (
	"iter"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Decoder reads messages that are at hand, of one stream and in its order, as the
// Server does those that it receives. It is for one goroutine at a time.
type Decoder struct {
	in stream
	n  counts
}

// NewDecoder returns a Decoder whose calls keep the headers.
func NewDecoder(h calllog.Headers) *Decoder { return &Decoder{in: newStream(h)} }

// Calls gives the calls of a StreamAccessLogsMessage. A record and what it points
// to, part of the message, are valid until the next.
func (d *Decoder) Calls(message []byte) iter.Seq[*calllog.Record] {
	return d.in.calls(message, &d.n)
}
