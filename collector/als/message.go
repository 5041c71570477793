package als

import (
	"errors"
	"iter"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

var errEntry = errors.New("access log entry does not parse")

// counts is what a message held.
type counts struct{ calls, malformed, tcp, intermediate int }

// stream is what has to be remembered over the messages of a stream: only the
// first names the gateway.
type stream struct {
	decoder              decoder
	gateway, gatewayZone string
}

func newStream(h calllog.Headers) stream {
	return stream{decoder: decoder{headers: h, kept: make([][]byte, h.Len())}}
}

// calls gives the calls of a StreamAccessLogsMessage and counts them. An entry
// that does not parse gives a record without function; a message that does not
// parse ends at the place where it goes wrong.
func (s *stream) calls(message []byte, n *counts) iter.Seq[*calllog.Record] {
	return func(yield func(*calllog.Record) bool) {
		m := fields{rest: message}
		for m.next() {
			switch m.num {
			case 1:
				if !s.identify(m.v) {
					n.malformed++
				}
			case 2:
				if !s.entries(m.v, n, yield) {
					return
				}
			case 3:
				if !s.connections(m.v, n, yield) {
					return
				}
			}
		}
		if m.bad {
			n.malformed++
		}
	}
}

func (s *stream) entries(b []byte, n *counts, yield func(*calllog.Record) bool) (more bool) {
	logs := fields{rest: b}
	for logs.next() {
		if logs.num != 1 {
			continue
		}
		if !s.decoder.entry(logs.v) {
			n.malformed++
			s.decoder.record.Malformed(nil, time.Now().UnixMicro(), errEntry)
		}
		if s.decoder.intermediate {
			n.intermediate++
			continue
		}
		n.calls++
		s.decoder.record.Gateway, s.decoder.record.GatewayZone = s.gateway, s.gatewayZone
		if !yield(&s.decoder.record) {
			return false
		}
	}
	if logs.bad {
		n.malformed++
	}
	return true
}

// identify reads StreamAccessLogsMessage.Identifier.
func (s *stream) identify(b []byte) (ok bool) {
	id, zone, ok := node(b)
	if ok {
		s.gateway, s.gatewayZone = id, zone
	}
	return ok
}

// node reads the first field of an identifier: the node's id and its zone.
func node(identifier []byte) (id, zone string, ok bool) {
	n, _, ok := pair(identifier, 1, 2)
	if !ok {
		return "", "", false
	}
	name, locality, ok := pair(n.v, 1, 4)
	if !ok {
		return "", "", false
	}
	_, z, ok := pair(locality.v, 1, 2)
	return string(name.v), string(z.v), ok
}
