package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// asked is what one caller asks for and was sent of one type, as the protocol of the
// whole state has it: each request names everything that is wanted.
type asked struct {
	table *table
	// whole: a response holds all that is wanted and there is, for what it lacks is
	// gone. Of other types it holds what differs, and nothing is ever gone.
	whole  bool
	shell  Shell // of clusters that are gone; nil: what is gone is gone
	wanted map[string]bool
	sent   map[string]string // versions that the caller was sent last, taken or not
	due    map[string]bool   // names to look at
	fresh  bool              // something was asked for that has no answer yet
	seen   uint64            // the table's changes up to here have been looked at

	nonce string   // of the last response; empty: there was none
	waits bool     // it has no answer yet
	names []string // what differs in it
}

// wholes are the types of which a response holds everything.
func wholes(typeURL string) bool {
	return typeURL == resource.ListenerType || typeURL == resource.ClusterType
}

func newAsked(typeURL string, t *table) *asked {
	return &asked{
		table: t, whole: wholes(typeURL), wanted: map[string]bool{}, sent: map[string]string{}, due: map[string]bool{}, seen: t.last(),
	}
}

// stale tells of a request that was made before the last response was read. Another
// one follows it, which answers that response.
func (a *asked) stale(r *discovery.DiscoveryRequest) bool { return r.GetResponseNonce() != a.nonce }

// want takes in the names of a request. There are no wildcards: a caller names what
// it calls.
func (a *asked) want(names []string) {
	now := map[string]bool{}
	for _, name := range names {
		now[name] = true
		if !a.wanted[name] {
			a.due[name], a.fresh = true, true
		}
	}
	for name := range a.wanted {
		if !now[name] { // forgotten, and sent again when it is wanted again
			delete(a.sent, name)
			delete(a.due, name)
		}
	}
	a.wanted = now
}

// next makes the response that is due, or returns nil.
func (a *asked) next() *discovery.DiscoveryResponse {
	if a.waits || !a.look() {
		return nil
	}
	names := a.names
	if a.whole {
		names = slices.Sorted(maps.Keys(a.sent))
	}
	r := &discovery.DiscoveryResponse{}
	for _, name := range names {
		if e, there := a.get(name); there {
			a.sent[name] = e.version
			r.Resources = append(r.Resources, e.body)
		}
	}
	r.VersionInfo = a.version()
	return r
}

// look fills in names with what differs from what was sent, and tells whether there
// is something to be said.
func (a *asked) look() bool {
	changed, _, now, complete := a.table.since(a.seen)
	if !complete {
		changed = slices.Collect(maps.Keys(a.wanted))
	}
	for _, name := range changed {
		a.due[name] = a.wanted[name]
	}
	fresh := a.fresh && a.whole
	a.seen, a.fresh, a.names = now, false, nil
	gone := false
	for name, wanted := range a.due {
		e, there := a.get(name)
		before, had := a.sent[name]
		switch {
		case !wanted:
		case there && (!had || before != e.version):
			a.names = append(a.names, name)
			a.sent[name] = e.version
		case !there && had:
			delete(a.sent, name)
			gone = true
		}
	}
	clear(a.due)
	slices.Sort(a.names)
	return fresh || len(a.names) > 0 || gone && a.whole
}

// get is a resource as the caller gets it.
func (a *asked) get(name string) (entry, bool) {
	e, there := a.table.get(name, "")
	if there || a.shell == nil {
		return e, there
	}
	body := &anypb.Any{}
	err := anypb.MarshalFrom(body, a.shell(name), proto.MarshalOptions{Deterministic: true})
	return entry{body, version(body)}, err == nil
}

// version stands for everything that the caller has been sent, the same after a
// restart.
func (a *asked) version() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(a.sent)) {
		fmt.Fprintf(h, "%q %s\n", name, a.sent[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// missing are names that are wanted and not there, sorted.
func (a *asked) missing() (names []string) {
	for name := range a.wanted {
		if _, there := a.get(name); !there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
