package serve

import (
	"slices"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// subscription is what one gateway wants and has of one type.
type subscription struct {
	table    *table
	zone     string // the gateway's place, which may get variants
	wildcard bool
	wanted   map[string]bool   // by name; besides wildcard
	known    map[string]string // version that the gateway has, or was sent last
	forced   map[string]bool   // to be sent even if known: asked for anew
	greet    bool              // the first answer is due even when it is empty

	seen        uint64       // the table's changes up to here have been looked at
	settled     uint64       // … and accepted, or were none of this gateway's business
	outstanding *outstanding // nil: all is answered
	halves      [][]string   // parts of refused responses, to be sent one by one
	refused     map[string]refusal
}

// outstanding is a response that has no answer yet.
type outstanding struct {
	nonce   string
	names   []string          // put by it
	removed []string          // removed by it
	before  map[string]string // versions of both before it, where there were any
	seen    uint64
	since   time.Time // of the first change in it; zero for first answers
	sent    time.Time
}

// refusal is a resource that a gateway does not take.
type refusal struct {
	version, text string
	seq           uint64 // the table's first change that may have brought it
}

// wildcards are the types of which a gateway wants all when it names none.
func wildcards(typeURL string) bool {
	return typeURL == resource.ClusterType || typeURL == resource.ListenerType || typeURL == resource.ScopedRouteType
}

func newSubscription(r *discovery.DeltaDiscoveryRequest, t *table, zone string) *subscription {
	s := &subscription{
		table: t, zone: zone, wanted: map[string]bool{}, known: map[string]string{}, forced: map[string]bool{}, refused: map[string]refusal{},
	}
	names := r.GetResourceNamesSubscribe()
	s.wildcard = len(names) == 0 && wildcards(r.GetTypeUrl())
	s.greet = s.wildcard
	s.subscribe(names)
	for name, version := range r.GetInitialResourceVersions() {
		s.known[name] = version
		delete(s.forced, name)
	}
	if s.wildcard {
		s.startOver()
	} else {
		s.seen = t.last()
		s.forceDiffering()
	}
	return s
}

// startOver makes everything that is wanted or known be compared anew.
func (s *subscription) startOver() {
	s.seen = s.table.last()
	for _, name := range s.table.names() {
		s.compare(name)
	}
	s.forceDiffering()
}

// forceDiffering forces what the gateway has in another version, or should not
// have any more.
func (s *subscription) forceDiffering() {
	for name := range s.known {
		s.compare(name)
	}
}

func (s *subscription) compare(name string) {
	if !s.wildcard && !s.wanted[name] {
		return
	}
	e, ok := s.table.get(name, s.zone)
	known, has := s.known[name]
	if ok != has || ok && known != e.version {
		s.forced[name] = true
		return
	}
	delete(s.refused, name) // it is again what the gateway has
}

func (s *subscription) subscribe(names []string) {
	for _, name := range names {
		if name == "*" {
			s.wildcard, s.greet = true, true
			s.startOver()
			continue
		}
		s.wanted[name] = true
		s.forced[name] = true
	}
}

func (s *subscription) unsubscribe(names []string) {
	for _, name := range names {
		if name == "*" {
			s.wildcard = false
			continue
		}
		delete(s.wanted, name)
		if !s.wildcard {
			delete(s.known, name)
			delete(s.forced, name)
			delete(s.refused, name)
		}
	}
}

// force makes names be sent though they did not change.
func (s *subscription) force(names []string) {
	if s == nil {
		return
	}
	for _, name := range names {
		if s.wildcard || s.wanted[name] {
			s.forced[name] = true
		}
	}
}

// next makes the response that is due and its outstanding, or returns nil.
// updated are resources in it that the gateway had in another version.
func (s *subscription) next() (response *discovery.DeltaDiscoveryResponse, updated []string) {
	out := &outstanding{before: map[string]string{}, sent: time.Now()}
	var due []string
	if len(s.halves) > 0 {
		due, s.halves = s.halves[0], s.halves[1:]
		out.seen = s.settled
	} else {
		due = s.due(out)
	}
	response = &discovery.DeltaDiscoveryResponse{}
	for _, name := range due {
		before, had := s.known[name]
		if had {
			out.before[name] = before
		}
		e, ok := s.table.get(name, s.zone)
		switch {
		case ok && s.refused[name].version == e.version:
			continue
		case ok:
			response.Resources = append(response.Resources, &discovery.Resource{Name: name, Version: e.version, Resource: e.body})
			out.names = append(out.names, name)
			s.known[name] = e.version
			if had {
				updated = append(updated, name)
			}
		default:
			response.RemovedResources = append(response.RemovedResources, name)
			out.removed = append(out.removed, name)
			delete(s.known, name)
		}
		delete(s.refused, name)
	}
	if len(out.names)+len(out.removed) == 0 && !s.greet {
		if len(s.halves) > 0 {
			return s.next()
		}
		s.accepted(out)
		return nil, nil
	}
	s.greet = false
	s.outstanding = out
	return response, updated
}

// due lists what has to be sent, each name once, sorted.
func (s *subscription) due(out *outstanding) []string {
	names, first, now, complete := s.table.since(s.seen)
	if !complete {
		s.startOver()
	}
	for _, name := range names {
		s.compare(name)
	}
	s.seen, out.seen = now, now
	var all []string
	for name := range s.forced {
		all = append(all, name)
	}
	clear(s.forced)
	slices.Sort(all)
	if len(all) > 0 {
		out.since = first
	}
	return all
}

func (s *subscription) settle(seen uint64) {
	if len(s.halves) == 0 {
		s.settled = max(s.settled, seen)
	}
}

// accepted takes in an ACK. The halves of a refused response are settled together
// with the last of them, at the sequence number of the whole.
func (s *subscription) accepted(out *outstanding) {
	if len(s.halves) == 0 && out.seen <= s.settled {
		out.seen = s.seen
	}
	s.settle(out.seen)
}

// rejected takes in a NACK: the gateway keeps what it had. A response of several
// resources is tried again in halves; a single one is left alone until it changes.
func (s *subscription) rejected(out *outstanding, message string) {
	sent := map[string]string{} // what is in the table may be something newer by now
	for _, name := range out.names {
		sent[name] = s.known[name]
	}
	for _, name := range append(slices.Clone(out.names), out.removed...) {
		if before, had := out.before[name]; had {
			s.known[name] = before
		} else {
			delete(s.known, name)
		}
	}
	all := append(slices.Clone(out.names), out.removed...)
	if len(all) > 1 {
		half := len(all) / 2
		s.halves = append([][]string{all[:half], all[half:]}, s.halves...)
		return
	}
	for _, name := range out.names {
		s.refused[name] = refusal{sent[name], message, s.settled + 1}
	}
	s.accepted(out)
}
