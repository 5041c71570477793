package als

import (
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// Counters are what a gateway counted up to one moment, as its metrics service
// sink reports it.
type Counters struct {
	Gateway, Zone string
	Time          time.Time     // of the gateway's clock
	Total, Active uint64        // requests that it began, and those in flight
	Dropped       uint64        // log entries that it dropped
	Uptime        time.Duration // in whole seconds
}

// Counting takes the counters of gateways. Its functions are called by several
// goroutines.
type Counting struct {
	Heard func(Counters)                     // nil: the service is not there
	Gone  func(gateway string, at time.Time) // the stream ended
}

// statistics are the names that are read.
type statistics struct{ total, active, dropped, uptime string }

func statisticsOf(prefix string) statistics {
	return statistics{
		total: "http." + prefix + ".downstream_rq_total", active: "http." + prefix + ".downstream_rq_active",
		dropped: "access_logs.grpc_access_log.logs_dropped", uptime: "server.uptime",
	}
}

// receiveCounters takes one gateway's stream of StreamMetricsMessage.
func (s *Server) receiveCounters(g grpc.ServerStream) error {
	in := counterStream{names: statisticsOf(s.statPrefix)}
	var message []byte
	for {
		if err := g.RecvMsg(&message); err != nil {
			if in.now.Gateway != "" && s.counting.Gone != nil {
				s.counting.Gone(in.now.Gateway, time.Now())
			}
			return err
		}
		before := in.now.Gateway
		c, complete := in.read(message)
		if before != in.now.Gateway {
			s.log.Info("gateway sends its counters", "gateway", in.now.Gateway, "zone", in.now.Zone)
		}
		if complete && c.Gateway != "" {
			s.counting.Heard(c)
		}
	}
}

// counterStream puts readings together: one may come in several messages, all with
// the same time.
type counterStream struct {
	names statistics
	now   Counters

	ms                           int64 // time of the reading
	hasTotal, hasActive, hasTime bool
	counts                       bool // the gateway took a request, ever: counters of zero are not sent
}

// Guard is subtracted from the time of a reading. Envoy takes it after it has read
// its counters; a call that ended in between would seem to be in the log too early.
const Guard = 5 * time.Millisecond

// read takes a message and gives a reading once it is complete.
func (s *counterStream) read(message []byte) (c Counters, complete bool) {
	m := fields{rest: message}
	for m.next() {
		switch m.num {
		case 1:
			s.identify(m.v)
		case 2:
			s.family(m.v)
		}
	}
	if !s.hasTime || s.counts && !(s.hasTotal && s.hasActive) {
		return Counters{}, false
	}
	s.hasTime, s.hasTotal, s.hasActive = false, false, false
	s.now.Time = time.UnixMilli(s.ms).Add(-Guard)
	return s.now, true
}

func (s *counterStream) identify(b []byte) {
	id, zone, ok := node(b)
	if ok {
		s.now.Gateway, s.now.Zone = id, zone
	}
}

// family reads an io.prometheus.client.MetricFamily of one metric without labels.
func (s *counterStream) family(b []byte) {
	f := fields{rest: b}
	name, metric := "", []byte(nil)
	for f.next() {
		switch f.num {
		case 1:
			if name = s.known(f.v); name == "" {
				return
			}
		case 4:
			metric = f.v
		}
	}
	value, ms, ok := reading(metric)
	if !ok {
		return
	}
	if ms != s.ms {
		s.ms, s.hasTime, s.hasTotal, s.hasActive = ms, false, false, false
	}
	n := uint64(max(0, value))
	switch name {
	case s.names.total:
		s.now.Total, s.hasTotal, s.counts = n, true, true
	case s.names.active:
		s.now.Active, s.hasActive, s.counts = n, true, true
	case s.names.dropped:
		s.now.Dropped = n
	case s.names.uptime:
		s.now.Uptime, s.hasTime = time.Duration(min(n, 1<<30))*time.Second, true
	}
}

// known is the name when it is one that is read, else empty.
func (s *counterStream) known(b []byte) string {
	switch string(b) {
	case s.names.total:
		return s.names.total
	case s.names.active:
		return s.names.active
	case s.names.dropped:
		return s.names.dropped
	case s.names.uptime:
		return s.names.uptime
	}
	return ""
}

// reading is the value of a Metric's gauge or counter, and its time.
func reading(b []byte) (value float64, ms int64, ok bool) {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 2, 3:
			value, ok = double(f.v)
		case 6:
			ms = int64(f.u)
		}
	}
	return value, ms, ok && !f.bad
}

// double reads a message whose first field is a double; without it that is zero.
func double(b []byte) (float64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	num, kind, n := protowire.ConsumeTag(b)
	if n < 0 || num != 1 || kind != protowire.Fixed64Type {
		return 0, false
	}
	bits, m := protowire.ConsumeFixed64(b[n:])
	v := math.Float64frombits(bits)
	return v, m >= 0 && v <= math.MaxInt64 // NaN is not
}
