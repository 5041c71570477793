// Package tally counts calls for Prometheus: all that were decoded, also those
// that sampling does not store.
//
// A Tally belongs to a block and counts the calls that went into it or were left
// out of it. When the block is durable the tally is added to the Metrics, so a
// call counts once however often its line is read or its block is sent. Adding to
// a tally allocates nothing once its kinds of calls were seen.
//
// Counts are exact, and so are the native histograms: every duration is a whole
// number of microseconds and falls into the bucket that Prometheus' own client
// would choose.
package tally

import (
	"encoding/binary"
	"strings"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Tally counts the calls of one block. It is for one goroutine at a time.
type Tally struct {
	byKey  map[string]uint32
	recent [recent]uint32 // kinds by a cheap hash; where they are not, byKey tells
	kinds  []kind
	calls  []call
	key    []byte
}

// kind is what the metrics tell apart.
type kind struct {
	function, revision, zone, pod, limit string

	code     uint16
	loadTest bool
	to       targets
}

type call struct {
	kind uint32
	us   uint32
}

const recent = 1 << 13

// maxKinds bounds the memory of the kinds of calls that a Tally knows, at about
// 200 bytes each. Beyond, it forgets them all with the next Reset.
const maxKinds = 50_000

// New returns an empty Tally.
func New() *Tally { return &Tally{byKey: map[string]uint32{}} }

// Add counts one call. It keeps nothing of r.
func (t *Tally) Add(r *calllog.Record) {
	slot := &t.recent[hash(r)]
	if int(*slot) >= len(t.kinds) || !t.kinds[*slot].is(r) {
		*slot = t.find(r)
	}
	t.calls = append(t.calls, call{*slot, r.DurationUS})
}

func (t *Tally) find(r *calllog.Record) uint32 {
	t.key = appendKey(t.key[:0], r)
	k, ok := t.byKey[string(t.key)]
	if !ok {
		k = uint32(len(t.kinds))
		t.byKey[string(t.key)] = k
		t.kinds = append(t.kinds, kindOf(r))
	}
	return k
}

// is tells whether r is of the kind; one whose names had to be mended never is.
func (k *kind) is(r *calllog.Record) bool {
	return k.pod == string(r.Pod) && k.code == r.Status && k.function == string(r.Function) && k.revision == string(r.Revision) &&
		k.zone == string(r.Zone) && k.limit == r.LimitedBy && k.loadTest == (len(r.LoadTest) > 0)
}

// hash is of what tells most kinds apart: the ends of the names.
func hash(r *calllog.Record) uint32 {
	h := uint32(r.Status)
	for _, name := range [...][]byte{r.Function, r.Pod, r.Revision, r.Zone} {
		h *= 0x9e3779b1
		if n := len(name); n >= 8 {
			h += binary.LittleEndian.Uint32(name[n-4:]) ^ binary.LittleEndian.Uint32(name[n-8:])*0x85ebca6b
			continue
		}
		for _, b := range name {
			h = h*31 + uint32(b)
		}
	}
	return h * 0x9e3779b1 >> (32 - 13)
}

// Calls is how many calls were added since the last Reset; each takes 8 bytes.
func (t *Tally) Calls() int { return len(t.calls) }

// Reset forgets the calls.
func (t *Tally) Reset() {
	t.calls = t.calls[:0]
	if len(t.kinds) > maxKinds {
		clear(t.byKey)
		t.kinds = nil
	}
}

// appendKey is unambiguous: each name has its length before it.
func appendKey(b []byte, r *calllog.Record) []byte {
	b = append(b, byte(r.Status), byte(r.Status>>8), byte(min(len(r.LoadTest), 1)))
	for _, name := range [...][]byte{r.Function, r.Revision, r.Zone, r.Pod} {
		b = append(append(b, byte(len(name)), byte(len(name)>>8)), name...)
	}
	return append(b, r.LimitedBy...)
}

func kindOf(r *calllog.Record) kind {
	// Labels have to be UTF-8; what the gateway names is, what reaches it need not.
	valid := func(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
	return kind{
		function: valid(r.Function), revision: valid(r.Revision), zone: valid(r.Zone), pod: valid(r.Pod),
		limit: strings.Clone(r.LimitedBy), code: r.Status, loadTest: len(r.LoadTest) > 0,
	}
}
