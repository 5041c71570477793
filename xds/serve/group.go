package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// DefaultGroup is the group of gateways that are in none of those that are known.
const DefaultGroup = "default"

// GroupKey is the key of a node's metadata that names its group; without it the
// node's cluster does.
const GroupKey = "kongdao.group"

// Group is what the gateways of one group get. Groups share nothing: what is put
// into one is not in another.
type Group struct {
	server *Server
	name   string
	tables map[string]*table
	direct map[string]*table // of callers

	// Under Server.mu.
	open  bool
	marks []mark
}

// mark is a version: what the tables held when it was complete.
type mark struct {
	version uint64
	at      time.Time
	seqs    map[string]uint64 // by type
}

// maxMarks bounds the versions that are remembered. A gateway that is further
// behind shows as being at version 0.
const maxMarks = 1024

// Group returns the group of that name, making it where there is none yet.
func (s *Server) Group(name string) *Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.group(name)
}

// group is Group under the lock.
func (s *Server) group(name string) *Group {
	g := s.groups[name]
	if g == nil {
		g = &Group{server: s, name: name, tables: map[string]*table{}, direct: map[string]*table{}}
		for _, t := range Types() {
			g.tables[t] = newTable()
		}
		for _, t := range CallerTypes() {
			g.direct[t] = newTable()
		}
		s.groups[name] = g
	}
	return g
}

// SetGroups says which groups there are besides DefaultGroup. Gateways that belong
// to another one now are sent away; they come back at once and get what differs.
func (s *Server) SetGroups(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[string]bool{DefaultGroup: true}
	for _, name := range names {
		s.known[name] = true
	}
	for st := range s.streams {
		if group := s.groupOf(st.claims()); st.isIn() != "" && st.isIn() != group {
			poke(st.left)
		}
	}
	s.dismiss()
	for name := range s.groups {
		if !s.known[name] {
			delete(s.groups, name)
		}
	}
}

// groupOf is the known group that a node claims, under the lock.
func (s *Server) groupOf(claim string) string {
	if s.known[claim] {
		return claim
	}
	return DefaultGroup
}

// claimOf is the group that a node says it is in.
func claimOf(n *core.Node) string {
	return cmp.Or(n.GetMetadata().GetFields()[GroupKey].GetStringValue(), n.GetCluster())
}

// Update puts and removes resources of one type and returns the names of those
// that differ from before. It does not wait for gateways.
func (g *Group) Update(typeURL string, put map[string]*anypb.Any, remove []string) []string {
	changed := g.tables[typeURL].update(put, remove, time.Now())
	if len(changed) > 0 {
		g.server.wake()
	}
	return changed
}

// UpdateZone sets what the gateways of a zone get instead of what Update put; a nil
// body takes that back, as removing the resource does. It returns the names of
// what differs for the zone.
func (g *Group) UpdateZone(typeURL, zone string, put map[string]*anypb.Any) []string {
	changed := g.tables[typeURL].updateZone(zone, put, time.Now())
	if len(changed) > 0 {
		g.server.wake()
	}
	return changed
}

// DropZone takes back everything that UpdateZone has set for a zone.
func (g *Group) DropZone(typeURL, zone string) {
	g.tables[typeURL].dropZone(zone, time.Now())
	g.server.wake()
}

// Differs tells whether Update with this resource would change anything.
func (g *Group) Differs(typeURL, name string, body *anypb.Any) bool {
	e, ok := g.tables[typeURL].get(name, "")
	return !ok || e.version != version(body)
}

// Body is a resource as it was put last; nil: there is none.
func (g *Group) Body(typeURL, name string) *anypb.Any {
	e, _ := g.tables[typeURL].get(name, "")
	return e.body
}

// Names lists the resources of a type, sorted.
func (g *Group) Names(typeURL string) []string { return g.tables[typeURL].names() }

// Open starts sending. Until then gateways wait: an empty first answer would take
// away what they have.
func (g *Group) Open() {
	g.server.mu.Lock()
	g.open = true
	g.server.mu.Unlock()
	g.server.wake()
	g.server.wakeCallers()
}

// IsOpen tells whether Open was called.
func (g *Group) IsOpen() bool {
	g.server.mu.Lock()
	defer g.server.mu.Unlock()
	return g.open
}

// Mark says that what the group holds now is this version.
func (g *Group) Mark(version uint64) {
	m := mark{version: version, at: time.Now(), seqs: map[string]uint64{}}
	for typeURL, t := range g.tables {
		m.seqs[typeURL] = t.last()
	}
	g.server.mu.Lock()
	defer g.server.mu.Unlock()
	if len(g.marks) == maxMarks {
		g.marks = append(g.marks[:0:0], g.marks[maxMarks/2:]...)
	}
	g.marks = append(g.marks, m)
}

// Version is the newest that Mark was given; 0: none.
func (g *Group) Version() uint64 {
	g.server.mu.Lock()
	defer g.server.mu.Unlock()
	if len(g.marks) == 0 {
		return 0
	}
	return g.marks[len(g.marks)-1].version
}

// Connected is the number of the group's gateways.
func (g *Group) Connected() int { return len(g.list()) }

func (g *Group) list() (all []*stream) {
	for _, st := range g.server.list() {
		if st.isIn() == g.name {
			all = append(all, st)
		}
	}
	return all
}

// WaitAcked blocks until every connected gateway of the group has accepted all that
// these types hold at the moment of the call. A gateway that left does not count;
// one that refused a resource makes it fail, as the end of ctx does.
func (g *Group) WaitAcked(ctx context.Context, typeURLs ...string) error {
	want := map[string]uint64{}
	for _, t := range typeURLs {
		want[t] = g.tables[t].last()
	}
	for {
		g.server.mu.Lock()
		moved := g.server.moved
		g.server.mu.Unlock()
		waiting, err := g.behind(want)
		if err != nil || waiting == "" {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("gateway %s has not answered: %w", waiting, ctx.Err())
		}
	}
}

// Behind names a gateway of the group that has not accepted everything there is
// now, or "". The error names what gateways refuse.
func (g *Group) Behind() (node string, refused error) {
	want := map[string]uint64{}
	for typeURL, t := range g.tables {
		want[typeURL] = t.last()
	}
	return g.behind(want)
}

func (g *Group) behind(want map[string]uint64) (string, error) {
	var refused []error
	waiting := ""
	for _, st := range g.list() {
		reached, err := st.reached(want)
		if err != nil {
			refused = append(refused, err)
		} else if !reached {
			waiting = cmp.Or(st.nodeID(), "unknown")
		}
	}
	return waiting, errors.Join(refused...)
}

// WaitAcked is Group.WaitAcked for all groups.
func (s *Server) WaitAcked(ctx context.Context, typeURLs ...string) error {
	s.mu.Lock()
	var all []*Group
	for _, g := range s.groups {
		all = append(all, g)
	}
	s.mu.Unlock()
	var errs []error
	for _, g := range all {
		errs = append(errs, g.WaitAcked(ctx, typeURLs...))
	}
	return errors.Join(errs...)
}
