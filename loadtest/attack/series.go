package attack

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxSeries bounds memory: a series takes 85 kB.
const maxSeries = 256

// Series is what a run saw of one kind of request.
type Series struct {
	Sent     uint64
	Canceled uint64 // in no other figure but Sent
	Status   map[int]uint64
	Faults   map[string]uint64
	Latency  *hdrhistogram.Histogram // microseconds
}

// series is a Series that is being filled. Unlike shards there is one of each, so
// its lock is shared by all workers: it is held for a fraction of a microsecond.
type series struct {
	mu sync.Mutex
	Series
}

// newSeries is empty for one kind of request, which the whole's figures are of.
func newSeries(n int) []*series {
	if n < 2 {
		return nil
	}
	all := make([]*series, n)
	for i := range all {
		all[i] = &series{Series: Series{Status: map[int]uint64{}, Faults: map[string]uint64{}, Latency: hdrhistogram.New(1, highest, 3)}}
	}
	return all
}

func (a *Attack) addSeries(latency time.Duration, r Reply) {
	if r.Series < 0 || r.Series >= len(a.series) {
		return
	}
	s := a.series[r.Series]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Sent++
	if r.Fault != "" {
		s.Faults[r.Fault]++
	}
	if r.Fault == KindCanceled {
		s.Canceled++
		return
	}
	if r.Status != 0 {
		s.Status[r.Status]++
	}
	record(s.Latency, latency)
}

// Merge adds another run's series of the same kind.
func (s *Series) Merge(o Series) {
	s.Sent += o.Sent
	s.Canceled += o.Canceled
	for code, n := range o.Status {
		s.Status[code] += n
	}
	for kind, n := range o.Faults {
		s.Faults[kind] += n
	}
	s.Latency.Merge(o.Latency)
}

// sumSeries is for when all workers have ended.
func (a *Attack) sumSeries() []Series {
	var all []Series
	for _, s := range a.series {
		s.mu.Lock()
		c := s.Series
		c.Status, c.Faults, c.Latency = maps.Clone(c.Status), maps.Clone(c.Faults), hdrhistogram.Import(c.Latency.Export())
		s.mu.Unlock()
		all = append(all, c)
	}
	return all
}
