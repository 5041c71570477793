package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Sampling says how the calls of one tenant are kept.
type Sampling struct {
	OneIn uint32        // one call in so many is stored; 1 stores all
	Slow  time.Duration // calls that take as long or longer are all stored
}

// Sampler chooses the calls that are stored, and weights them.
//
// Stored whatever the draw, with weight 1: calls with an error (status 5xx or 0,
// or a response flag), calls that a limit refused, slow ones, those of load tests,
// those without a function, and in each minute the first of each function,
// revision and class of status. Of the others one in n is drawn, with weight n.
//
// Why totals stay unbiased. Let K be the calls that are stored in any case and
// x(i) what is summed of call i: 1, its bytes, its being a 404. The estimate is
//
//	T = Σ(i in K) x(i) + Σ(i not in K, drawn) n·x(i)
//
// and E[T] = Σ(i in K) x(i) + Σ(i not in K) (1/n)·n·x(i) = Σ x(i), the truth,
// because each call outside K is drawn with probability 1/n. It needs two things.
// Membership in K must not depend on the draw: being the first is decided among
// all calls, before any is drawn, and not among those that were stored. And a call
// in K must have weight 1 even if it would have been drawn as well. The same holds
// for any part of the calls, so for each function, revision, zone, minute. The
// variance of a count of N calls outside K is N·(n-1).
//
// The draw depends on the call's request id and the microsecond in which it began
// alone: both sources decide alike, and so does another reading of the same line.
// The time is in it because callers may choose ids. What was the first may change
// when lines are read again after a crash; nothing of the former decision was
// stored then.
//
// Weights are whole numbers, hence probabilities 1/n. It is for one goroutine at
// a time.
type Sampler struct {
	tenants map[string]rule
	phase   uint64 // of the draw: for tests

	firsts  map[string]int64 // minute of the last first one
	swept   int64            // minute in which old ones were taken out
	key     []byte
	last    []byte // tenant of the call before
	lastHas rule
}

// rule is how one tenant's calls are kept.
type rule struct {
	n    uint64
	slow uint32 // microseconds
}

// maxFirsts bounds the functions, revisions and classes that first calls are
// known of, about 100 bytes each. Beyond, no further first calls are kept.
const maxFirsts = 20_000

// NewSampler returns a Sampler for the tenants that are named; calls of all
// others are stored.
func NewSampler(tenants map[string]Sampling) (*Sampler, error) {
	s := &Sampler{tenants: map[string]rule{}, firsts: map[string]int64{}}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(tenants)) {
		t := tenants[name]
		if t.OneIn == 0 || t.Slow <= 0 {
			errs = append(errs, fmt.Errorf("tenants.%s: one in %d, slow from %s: want both above 0", name, t.OneIn, t.Slow))
		}
		if t.OneIn > 1 {
			s.tenants[name] = rule{n: uint64(t.OneIn), slow: uint32(min(t.Slow.Microseconds(), 1<<32-1))}
		}
	}
	return s, errors.Join(errs...)
}

// Keep tells whether r is stored, and sets its weight.
func (s *Sampler) Keep(r *calllog.Record) bool {
	if len(s.tenants) == 0 {
		return true
	}
	if s.last == nil || string(s.last) != string(r.Tenant) {
		s.last = append(s.last[:0], r.Tenant...)
		s.lastHas = s.tenants[string(r.Tenant)]
	}
	t := s.lastHas
	if t.n <= 1 || certain(r, t) || s.first(r) {
		return true
	}
	if (draw(r)+s.phase)%t.n != 0 {
		return false
	}
	r.SampleWeight *= uint32(t.n)
	return true
}

// certain tells whether a call is stored for what it is.
func certain(r *calllog.Record, t rule) bool {
	return r.Status >= 500 || r.Status == 0 || len(r.Flags) > 0 || r.LimitedBy != "" ||
		len(r.LoadTest) > 0 || len(r.Function) == 0 || r.DurationUS >= t.slow
}

// first tells whether r is the first of its kind in its minute.
func (s *Sampler) first(r *calllog.Record) bool {
	minute := r.Time / 60e6
	s.key = append(append(append(s.key[:0], r.Function...), 0), r.Revision...)
	s.key = append(s.key, 0, byte(r.Status/100))
	last, known := s.firsts[string(s.key)]
	const late = 60 // minutes: a clock that was ahead must not silence a function for good
	switch {
	case known && minute <= last && minute > last-late:
		return false
	case !known && !s.room(minute):
		return false
	}
	s.firsts[string(s.key)] = minute
	return true
}

// room tells whether another kind of call can be remembered, after taking out
// those that were not seen for long, once a minute.
func (s *Sampler) room(minute int64) bool {
	const old = 10 // minutes
	if len(s.firsts) >= maxFirsts && minute != s.swept {
		s.swept = minute
		maps.DeleteFunc(s.firsts, func(_ string, m int64) bool { return m < minute-old })
	}
	return len(s.firsts) < maxFirsts
}

// draw is a number that is as good as random, from what makes a call one.
func draw(r *calllog.Record) uint64 {
	id := &r.RequestID
	if *id == ([16]byte{}) {
		id = &r.TraceID
	}
	h := mix(binary.LittleEndian.Uint64(id[:8]), 0x9e3779b97f4a7c15)
	h = mix(h^binary.LittleEndian.Uint64(id[8:]), 0xd6e8feb86659fd93)
	h = mix(h^uint64(r.Time), 0xa0761d6478bd642f)
	if r.RequestID == ([16]byte{}) {
		for _, b := range r.Path {
			h = (h ^ uint64(b)) * 0x100000001b3
		}
	}
	return mix(h, 0xe7037ed1a0b428db)
}

// mix spreads each bit of a over all of the result.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x2d358dccaa6c78a5, b)
	x := hi ^ lo
	x ^= x >> 32
	return x * 0xd6e8feb86659fd93
}
