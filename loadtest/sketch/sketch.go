// Package sketch counts durations in few bytes, so that a load test can keep a
// distribution for every second of a run and not just for the whole.
//
// Durations are counted in buckets: each microsecond has its own below 128 µs,
// above that there are 64 to every doubling. A duration that is read back is at
// most 0.8 % off. 1 µs to 1 h can be told apart; what is beyond counts as the end.
//
// Sketches of several generators or seconds merge without loss.
package sketch

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

const (
	exact   = 128 // buckets of 1 µs
	octave  = 64  // buckets of each doubling above
	highest = int64(time.Hour / time.Microsecond)
)

// size is the number of buckets.
var size = bucket(time.Hour) + 1

func bucket(d time.Duration) int {
	us := max(0, min(highest, d.Microseconds()))
	if us < exact {
		return int(us)
	}
	shift := bits.Len64(uint64(us)) - 7
	return shift*octave + int(us>>shift)
}

// edges are the lowest duration of bucket i and that of the next, microseconds.
func edges(i int) (low, next float64) {
	if i < exact {
		return float64(i), float64(i + 1)
	}
	shift := i/octave - 1
	m := i - shift*octave
	return math.Ldexp(float64(m), shift), math.Ldexp(float64(m+1), shift)
}

// Recorder counts durations; any number of goroutines may use it. The zero value is
// not ready: see [NewRecorder].
type Recorder struct{ counts []atomic.Uint32 }

// NewRecorder takes 7 kB.
func NewRecorder() *Recorder { return &Recorder{counts: make([]atomic.Uint32, size)} }

// Add counts one duration.
func (r *Recorder) Add(d time.Duration) { r.counts[bucket(d)].Add(1) }

// Sketch is what was counted so far.
func (r *Recorder) Sketch() Sketch {
	var s Sketch
	for i := range r.counts {
		if n := r.counts[i].Load(); n > 0 {
			s.entries = append(s.entries, entry{i, uint64(n)})
		}
	}
	return s
}

type entry struct {
	bucket int
	n      uint64
}

// Sketch is a distribution of durations. The zero value is empty. As text it is
// base64 of pairs of varints, bucket and count, a bucket as the distance from the one
// before.
type Sketch struct{ entries []entry } // by bucket

// Of counts durations.
func Of(ds ...time.Duration) Sketch {
	r := NewRecorder()
	for _, d := range ds {
		r.Add(d)
	}
	return r.Sketch()
}

// Merge is all of the sketches in one.
func Merge(all ...Sketch) Sketch {
	counts := map[int]uint64{}
	for _, s := range all {
		for _, e := range s.entries {
			counts[e.bucket] += e.n
		}
	}
	var out Sketch
	for i, n := range counts {
		out.entries = append(out.entries, entry{i, n})
	}
	slices.SortFunc(out.entries, func(a, b entry) int { return a.bucket - b.bucket })
	return out
}

// Count is how many durations there are.
func (s Sketch) Count() uint64 {
	var n uint64
	for _, e := range s.entries {
		n += e.n
	}
	return n
}

// Quantile is the duration that share of all, 0 to 1, did not exceed, as if they
// were spread evenly within a bucket. 0 when there are none.
func (s Sketch) Quantile(share float64) time.Duration {
	want, before := share*float64(s.Count()), 0.0
	for _, e := range s.entries {
		if before+float64(e.n) >= want {
			low, next := edges(e.bucket)
			return microseconds(low + (next-low)*(want-before)/float64(e.n))
		}
		before += float64(e.n)
	}
	return s.Max()
}

// Max is the longest duration, 0 when there are none.
func (s Sketch) Max() time.Duration {
	if len(s.entries) == 0 {
		return 0
	}
	return middle(s.entries[len(s.entries)-1].bucket)
}

// Mean is 0 when there are none.
func (s Sketch) Mean() time.Duration {
	sum, n := 0.0, 0.0
	for _, e := range s.entries {
		sum += float64(middle(e.bucket)) * float64(e.n)
		n += float64(e.n)
	}
	if n == 0 {
		return 0
	}
	return time.Duration(sum / n)
}

// Above is how many durations are longer than d, as far as buckets tell.
func (s Sketch) Above(d time.Duration) uint64 {
	var n uint64
	for _, e := range s.entries {
		if e.bucket > bucket(d) {
			n += e.n
		}
	}
	return n
}

// Share is the part of all, 0 to 1, that did not exceed d, as if they were spread
// evenly within a bucket: the inverse of Quantile. 0 when there are none.
func (s Sketch) Share(d time.Duration) float64 {
	n := float64(s.Count())
	if n == 0 {
		return 0
	}
	us, before := float64(d)/float64(time.Microsecond), 0.0
	for _, e := range s.entries {
		low, next := edges(e.bucket)
		if us < next {
			return (before + float64(e.n)*max(0, us-low)/(next-low)) / n
		}
		before += float64(e.n)
	}
	return 1
}

// Bars calls each for every bucket that is not empty, shortest first, with its edges.
func (s Sketch) Bars(each func(low, next time.Duration, n uint64)) {
	for _, e := range s.entries {
		low, next := edges(e.bucket)
		each(microseconds(low), microseconds(next), e.n)
	}
}

func middle(i int) time.Duration {
	low, next := edges(i)
	return microseconds((low + next - 1) / 2)
}

func microseconds(us float64) time.Duration { return time.Duration(us * float64(time.Microsecond)) }

// MarshalText never fails.
func (s Sketch) MarshalText() ([]byte, error) {
	var b []byte
	last := 0
	for _, e := range s.entries {
		b = binary.AppendUvarint(b, uint64(e.bucket-last))
		b = binary.AppendUvarint(b, e.n)
		last = e.bucket
	}
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

var errText = errors.New("not a sketch")

// UnmarshalText reads what MarshalText wrote.
func (s *Sketch) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("%w: %w", errText, err)
	}
	s.entries = nil
	last := 0
	for len(b) > 0 {
		step, k := binary.Uvarint(b)
		if k <= 0 || step > uint64(size) || (step == 0 && len(s.entries) > 0) {
			return errText
		}
		n, l := binary.Uvarint(b[k:])
		last += int(step)
		if l <= 0 || n == 0 || n > math.MaxUint32 || last >= size {
			return errText
		}
		s.entries = append(s.entries, entry{last, n})
		b = b[k+l:]
	}
	return nil
}

// Equal makes sketches comparable in tests.
func (s Sketch) Equal(t Sketch) bool { return slices.Equal(s.entries, t.entries) }
