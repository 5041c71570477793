package completeness

import "sort"

// tally counts calls by the moment at which they ended, to within its width. When
// it has too many buckets the width doubles, so that a gateway that is never heard
// of costs little.
type tally struct {
	buckets []bucket // by at, rising
	width   int64    // microseconds; 0: the finest
}

// bucket is the calls of one width.
type bucket struct {
	at      int64 // the latest end among them
	until   int64 // where the bucket ends, exclusive
	calls   int64
	rows    int64
	longest int64 // the longest of them, microseconds
}

const (
	finest     = 1000 // microseconds
	maxBuckets = 8192
)

// add counts one bucket's worth of calls, usually a single one.
func (t *tally) add(b bucket) {
	n := len(t.buckets)
	if n > 0 {
		if last := &t.buckets[n-1]; b.at < last.until && b.at >= last.until-t.width {
			last.join(b)
			return
		}
	}
	t.insert(b)
}

func (t *tally) insert(b bucket) {
	if t.width == 0 || len(t.buckets) == 0 {
		t.width = finest
	}
	b.until = b.at - b.at%t.width + t.width
	i := len(t.buckets)
	if i > 0 && b.at < t.buckets[i-1].until {
		i = sort.Search(i, func(k int) bool { return t.buckets[k].until >= b.until })
		if t.buckets[i].until == b.until {
			t.buckets[i].join(b)
			return
		}
	}
	t.buckets = append(t.buckets, bucket{})
	copy(t.buckets[i+1:], t.buckets[i:])
	t.buckets[i] = b
	if len(t.buckets) > maxBuckets {
		t.coarsen()
	}
}

func (b *bucket) join(o bucket) {
	b.at = max(b.at, o.at)
	b.calls += o.calls
	b.rows += o.rows
	b.longest = max(b.longest, o.longest)
}

func (t *tally) coarsen() {
	t.width *= 2
	kept := t.buckets[:0]
	for _, b := range t.buckets {
		b.until = b.at - b.at%t.width + t.width
		if n := len(kept); n > 0 && kept[n-1].until == b.until {
			kept[n-1].join(b)
			continue
		}
		kept = append(kept, b)
	}
	t.buckets = kept
}

// takeUpTo takes out the buckets that lie before the moment as a whole, and gives
// what they hold together.
func (t *tally) takeUpTo(moment int64) (sum bucket) {
	i := 0
	for i < len(t.buckets) && t.buckets[i].at <= moment {
		sum.join(t.buckets[i])
		i++
	}
	t.buckets = append(t.buckets[:0], t.buckets[i:]...)
	return sum
}
