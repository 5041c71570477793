package serve

import (
	"cmp"
	"slices"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// CallerTypes are the resource types that callers get, in the order in which changes
// of the same moment are sent.
func CallerTypes() []string {
	return []string{resource.ClusterType, resource.EndpointType, resource.RouteType, resource.ListenerType}
}

// Caller is what is known of one connected caller: a gRPC client that finds pods by
// itself. It is no gateway: nobody waits for it, and what it refuses concerns it
// alone.
type Caller struct {
	Node    string    `json:"node"`
	Group   string    `json:"group"`
	Zone    string    `json:"zone"`
	Agent   string    `json:"agent"`    // its program, as it says; empty: not said
	Since   time.Time `json:"since"`    // connected
	LastAck time.Time `json:"last_ack"` // when it accepted something last; zero: never
	Asks    []string  `json:"asks"`     // listeners that it asks for, sorted
	// Missing are those of them that there are not.
	Missing []string `json:"missing"`
	// Refused is the last refusal of each type, while what it was of is asked for and
	// was not accepted since.
	Refused []Rejection `json:"refused"`
}

// Callers lists the connected callers, sorted by node.
func (s *Server) Callers() []Caller {
	all := []Caller{}
	for _, c := range s.listCallers() {
		if now := c.describe(); now.Group != "" {
			all = append(all, now)
		}
	}
	slices.SortFunc(all, func(a, b Caller) int { return cmp.Or(cmp.Compare(a.Node, b.Node), a.Since.Compare(b.Since)) })
	return all
}

// Shell makes a cluster of a name alone.
type Shell func(name string) *cluster.Cluster

// ServeCallers lets callers in: gRPC clients that call pods without a gateway. Groups
// have resources of their own for them, see Group.UpdateCallers.
//
// A caller asks for a cluster as long as it has a route to it, and would fail calls
// if it heard that there is none: after a restart, when it hears of clusters before
// it hears of routes, and when a change of both reaches it piece by piece. So it gets
// a shell of a cluster that is gone, and goes on with the endpoints that it has, which
// are never gone in this protocol.
func (s *Server) ServeCallers(shell Shell) { s.shell.Store(&shell) }

// UpdateCallers puts and removes resources of one of CallerTypes, for the callers of
// the group. It does not wait for them.
func (g *Group) UpdateCallers(typeURL string, put map[string]*anypb.Any, remove []string) {
	if len(g.direct[typeURL].update(put, remove, time.Now())) == 0 {
		return
	}
	g.server.wakeCallers()
}

func (s *Server) wakeCallers() {
	for _, c := range s.listCallers() {
		poke(c.changed)
	}
}

func (s *Server) listCallers() (all []*caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.callers {
		all = append(all, c)
	}
	return all
}

func (s *Server) enter(c *caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callers[c] = struct{}{}
}

func (s *Server) exit(c *caller) {
	s.mu.Lock()
	delete(s.callers, c)
	s.mu.Unlock()
	if c.isIn() != "" {
		s.log.Info("caller left", "node", c.describe().Node)
	}
}

// dismiss sends callers away whose group is another one now; they come back at once.
// The lock must be held.
func (s *Server) dismiss() {
	for c := range s.callers {
		c.mu.Lock()
		moved := c.group != nil && c.known.Group != s.groupOf(c.claim)
		c.mu.Unlock()
		if moved {
			poke(c.left)
		}
	}
}

// report tells of what is asked for and not there, each name once while it is so.
func (c *caller) report() {
	if c.server.events.Missing == nil || !c.isOpen() {
		return
	}
	now := c.describe()
	told := map[string]bool{}
	var names []string
	for _, name := range now.Missing {
		told[name] = true
		if !c.told[name] {
			names = append(names, name)
		}
	}
	if c.told = told; len(names) > 0 {
		c.server.events.Missing(Member{Node: now.Node, Group: now.Group, Zone: now.Zone}, names)
	}
}

func (c *caller) describe() Caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.known
	now.Asks, now.Missing, now.Refused = []string{}, []string{}, []Rejection{}
	if a := c.asks[resource.ListenerType]; a != nil {
		for name := range a.wanted {
			now.Asks = append(now.Asks, name)
		}
		now.Missing = append(now.Missing, a.missing()...)
	}
	slices.Sort(now.Asks)
	for _, typeURL := range CallerTypes() {
		no := c.refused[typeURL]
		no.Resources = slices.DeleteFunc(slices.Clone(no.Resources), func(name string) bool { return !c.asks[typeURL].wanted[name] })
		if len(no.Resources) > 0 {
			now.Refused = append(now.Refused, no)
		}
	}
	return now
}
