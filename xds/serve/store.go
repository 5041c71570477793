package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sort"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
)

// entry is one resource as it is sent. Its version is a hash of its bytes, so that
// a gateway that comes back, also to a restarted control plane, gets only what
// differs from what it has.
type entry struct {
	body    *anypb.Any
	version string
}

// change is one line of a table's log.
type change struct {
	seq  uint64
	name string
	at   time.Time
}

// table holds the resources of one type and a log of what changed, from which
// every stream reads what it has not seen: a change costs what changed, whatever
// the number of resources.
type table struct {
	mu      sync.RWMutex
	entries map[string]entry
	zones   map[string]map[string]entry // what differs for some gateways, by place (see stream.place) and name
	seq     uint64                      // of the last change
	log     []change                    // ascending by seq; may have lost its beginning
	lost    uint64                      // the log is complete for streams that have seen this or later
}

func newTable() *table {
	return &table{entries: map[string]entry{}, zones: map[string]map[string]entry{}}
}

// update puts and removes; what is already so changes nothing. It returns the
// names that changed.
func (t *table) update(put map[string]*anypb.Any, remove []string, now time.Time) (changed []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed = t.set(put, remove)
	t.note(changed, now)
	return changed
}

// set is update under the lock, without writing it down.
func (t *table) set(put map[string]*anypb.Any, remove []string) (changed []string) {
	for name, body := range put {
		v := version(body)
		if t.entries[name].version != v {
			t.entries[name] = entry{body, v}
			changed = append(changed, name)
		}
	}
	for _, name := range remove {
		if _, ok := t.entries[name]; ok {
			delete(t.entries, name)
			for _, entries := range t.zones {
				delete(entries, name)
			}
			changed = append(changed, name)
		}
	}
	return changed
}

// note sorts the names of a change and writes them down. The lock must be held.
func (t *table) note(changed []string, now time.Time) {
	slices.Sort(changed)
	for _, name := range changed {
		t.seq++
		t.log = append(t.log, change{t.seq, name, now})
	}
	t.trim()
}

// trim forgets the older half of a log that is longer than a full scan is worth.
func (t *table) trim() {
	if limit := 2*len(t.entries) + 1024; len(t.log) > limit {
		half := len(t.log) / 2
		t.lost = t.log[half-1].seq
		t.log = slices.Clone(t.log[half:])
	}
}

// since lists the names that changed after seq, the time of the first of these
// changes, and the present seq. Names may repeat. complete is false when the log
// does not reach back; then everything may have changed.
func (t *table) since(seq uint64) (names []string, first time.Time, now uint64, complete bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if seq < t.lost {
		return nil, time.Time{}, t.seq, false
	}
	i := sort.Search(len(t.log), func(i int) bool { return t.log[i].seq > seq })
	if i < len(t.log) {
		first = t.log[i].at
	}
	for _, c := range t.log[i:] {
		names = append(names, c.name)
	}
	return names, first, t.seq, true
}

// get is a resource as gateways of a zone get it.
func (t *table) get(name, zone string) (entry, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e, ok := t.zones[zone][name]; ok {
		return e, true
	}
	e, ok := t.entries[name]
	return e, ok
}

// names lists all resources, sorted.
func (t *table) names() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]string, 0, len(t.entries))
	for name := range t.entries {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func (t *table) last() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.seq
}

func version(body *anypb.Any) string {
	h := sha256.New()
	h.Write([]byte(body.GetTypeUrl()))
	h.Write(body.GetValue())
	return hex.EncodeToString(h.Sum(nil)[:8])
}
