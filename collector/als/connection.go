package als

import (
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

// connections gives the TCP connections of an entry list as records. A connection
// has no method, path or status; what says it is one is the attribute protocol.
func (s *stream) connections(b []byte, n *counts, yield func(*calllog.Record) bool) (more bool) {
	logs := fields{rest: b}
	for logs.next() {
		if logs.num != 1 {
			continue
		}
		if !s.decoder.connection(logs.v) {
			n.malformed++
			s.decoder.record.Malformed(nil, time.Now().UnixMicro(), errEntry)
		}
		if s.decoder.intermediate {
			n.intermediate++
			continue
		}
		n.tcp++
		r := &s.decoder.record
		r.Gateway, r.GatewayZone = s.gateway, s.gatewayZone
		r.Attrs = append(r.Attrs, calllog.Attr{Key: calllog.AttrProtocol, Value: []byte(calllog.ProtocolTCP)})
		if !yield(r) {
			return false
		}
	}
	if logs.bad {
		n.malformed++
	}
	return true
}

// connection reads one TCPAccessLogEntry.
func (d *decoder) connection(b []byte) (ok bool) {
	d.reset()
	f := fields{rest: b}
	for f.next() {
		ok := true
		switch f.num {
		case 1:
			ok = d.common(f.v)
		case 2:
			ok = d.traffic(f.v)
		}
		if !ok {
			return false
		}
	}
	return d.finish(f.bad)
}

// traffic reads ConnectionProperties.
func (d *decoder) traffic(b []byte) (ok bool) {
	received, sent, ok := pair(b, 1, 2)
	d.record.BytesIn, d.record.BytesOut = received.u, sent.u
	return ok
}
