package attack

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Observation is one request that was due.
type Observation struct {
	Planned time.Duration // when it was due, from the begin of the run
	Latency time.Duration // from the planned time to the last byte of the answer
	Status  int           // 0 when there was no answer
	Bytes   uint64        // of the answer's body
	Fault   string        // empty, or a Kind or a word of the sender; [KindDropped] was never sent
	Series  int           // what was sent, in [Config.Series]; -1: nothing was
}

// Stats is what a run saw. Histograms count microseconds.
type Stats struct {
	Began    time.Time
	Sending  time.Duration // from the begin to the last sending, or to the stop
	Planned  uint64        // requests that were due
	Sent     uint64        // requests that left, canceled ones included
	Followed uint64        // of those sent: not planned, but following from an answer
	Late     uint64        // sent more than LateAfter behind their planned time
	Lagging  uint64        // sent more than LateAfter after they could have been: the generator's own fault
	Dropped  uint64        // never sent
	Canceled uint64        // in flight when the run was stopped; in no histogram
	BytesIn  uint64
	BytesOut uint64
	Wire     uint64            // bytes received and sent over the connections, headers included; 0 without a [Meter]
	MostWire uint64            // that its [Meter] allows; 0: any
	Status   map[int]uint64    // answers by status
	Faults   map[string]uint64 // requests without a whole answer, by Kind
	Latency  *hdrhistogram.Histogram
	Lag      *hdrhistogram.Histogram // sending time − max(planned time, time at which a worker was free)
	CPU      float64                 // share of all cores that this process used, 0 to 1
	Stopped  Stop
	Series   []Series // in the order of [Config.Series]
	// Intervals are the run bit by bit, from its begin.
	Intervals []Interval
}

// Own is how many requests failed for want of the generator's own means.
func (t Stats) Own() uint64 {
	var n uint64
	for kind, count := range t.Faults {
		if OwnFault(kind) {
			n += count
		}
	}
	return n
}

// Stop says what ended a run.
type Stop string

// What ends a run.
const (
	StopPlan     Stop = ""         // the plan was carried out
	StopObserver Stop = "observer" // the observer had seen enough
	StopCaller   Stop = "caller"   // the context ended
	StopBytes    Stop = "bytes"    // more went over its connections than its [Meter] allows
)

// shards bounds the memory that histograms take, 170 kB a pair; a shard's lock is
// rarely contended as workers spend their time waiting for answers.
const shards = 16

// The histograms hold 1 µs to 1 h with three significant digits.
const highest = int64(time.Hour / time.Microsecond)

type shard struct {
	mu       sync.Mutex
	sent     uint64
	followed uint64
	late     uint64
	lagging  uint64
	canceled uint64
	in, out  uint64
	status   map[int]uint64
	faults   map[string]uint64
	latency  *hdrhistogram.Histogram
	lag      *hdrhistogram.Histogram
}

func newShard() *shard {
	return &shard{
		status: map[int]uint64{}, faults: map[string]uint64{},
		latency: hdrhistogram.New(1, highest, 3), lag: hdrhistogram.New(1, highest, 3),
	}
}

// record cannot fail: values are held within the histogram's bounds.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(max(1, min(highest, d.Microseconds())))
}

func (s *shard) addTo(t *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Sent += s.sent
	t.Followed += s.followed
	t.Late += s.late
	t.Lagging += s.lagging
	t.Canceled += s.canceled
	t.BytesIn += s.in
	t.BytesOut += s.out
	for code, n := range s.status {
		t.Status[code] += n
	}
	for kind, n := range s.faults {
		t.Faults[kind] += n
	}
	t.Latency.Merge(s.latency)
	t.Lag.Merge(s.lag)
}

func (a *Attack) sum() Stats {
	t := Stats{
		Status: map[int]uint64{}, Faults: map[string]uint64{},
		Latency: hdrhistogram.New(1, highest, 3), Lag: hdrhistogram.New(1, highest, 3),
	}
	for _, s := range a.shards {
		s.addTo(&t)
	}
	t.Began = a.began
	t.Dropped = a.dropped.Load()
	return t
}

// Progress is the state of a run once a second.
type Progress struct {
	Elapsed  time.Duration
	Rate     float64 // requests sent in the last second
	Sent     uint64
	InFlight int
	P50, P99 time.Duration // so far
	Faults   uint64        // requests without a whole answer, and answers of 500 and above
	Late     uint64
	Dropped  uint64
	LagP99   time.Duration // the generator's own, so far
	// These are of the last whole interval alone.
	Planned        float64 // requests a second
	NowP50, NowP99 time.Duration
	NowLagP99      time.Duration
}

// String is one line, such as "12s  300/s  4 in flight  p50 3ms  p99 21ms".
func (p Progress) String() string {
	s := fmt.Sprintf("%v  %.0f/s  %d in flight  p50 %v  p99 %v", p.Elapsed.Round(time.Second), p.Rate, p.InFlight,
		p.P50.Round(100*time.Microsecond), p.P99.Round(100*time.Microsecond))
	for _, x := range []struct {
		what string
		n    uint64
	}{{"errors", p.Faults}, {"late", p.Late}, {"dropped", p.Dropped}} {
		if x.n > 0 {
			s += fmt.Sprintf("  %d %s", x.n, x.what)
		}
	}
	return s + fmt.Sprintf("  lag p99 %v", p.LagP99.Round(100*time.Microsecond))
}

func (a *Attack) progress(before uint64, since time.Duration) Progress {
	t := a.sum()
	p := Progress{
		Elapsed:  time.Since(a.began),
		Sent:     t.Sent,
		InFlight: int(a.inFlight.Load()),
		P50:      Quantile(t.Latency, 50),
		P99:      Quantile(t.Latency, 99),
		Late:     t.Late,
		Dropped:  t.Dropped,
		LagP99:   Quantile(t.Lag, 99),
	}
	p.Rate = float64(t.Sent-before) / since.Seconds()
	a.timeline.describe(&p)
	for _, n := range t.Faults {
		p.Faults += n
	}
	for code, n := range t.Status {
		if code >= 500 {
			p.Faults += n
		}
	}
	return p
}

// Quantile is the latency that percent of the requests did not exceed; 0 when
// there were none.
func Quantile(h *hdrhistogram.Histogram, percent float64) time.Duration {
	if h.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.ValueAtPercentile(percent)) * time.Microsecond
}
