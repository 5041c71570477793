package serve

import (
	"maps"
	"slices"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// caller is one stream. Its goroutine in StreamAggregatedResources owns what it asks
// for; mu is for those who look from outside.
type caller struct {
	server  *Server
	wire    discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer
	changed chan struct{} // size 1: a table changed
	left    chan struct{} // size 1: the stream has to end

	mu      sync.Mutex
	claim   string
	group   *Group // nil until it said who it is
	known   Caller // without what asks tells
	asks    map[string]*asked
	refused map[string]Rejection // by type
	told    map[string]bool      // missing names that were reported
}

// StreamAggregatedResources serves one caller until it leaves: the whole state of
// what it names, see ServeCallers.
func (s *Server) StreamAggregatedResources(wire discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	if s.shell.Load() == nil {
		return status.Error(codes.Unimplemented, "gateways get changes alone (incremental xDS), and callers without a gateway are not served (xds.proxyless)")
	}
	c := &caller{
		server: s, wire: wire, changed: make(chan struct{}, 1), left: make(chan struct{}, 1), known: Caller{Since: time.Now()},
		asks: map[string]*asked{}, refused: map[string]Rejection{}, told: map[string]bool{},
	}
	s.enter(c)
	defer s.exit(c)
	requests, failed := make(chan *discovery.DiscoveryRequest), make(chan error, 1)
	go receive(wire.Context(), wire.Recv, requests, failed)
	for {
		select {
		case r := <-requests:
			if c.isIn() == "" {
				if err := s.judge(wire.Context(), s.events.AdmitCaller, "caller", r.GetNode()); err != nil {
					return err
				}
				c.introduce(r.GetNode())
			}
			c.request(r)
		case <-c.changed:
		case <-c.left:
			return status.Error(codes.Unavailable, "the caller's group is another one now")
		case err := <-failed:
			return err
		}
		if err := c.send(); err != nil {
			return err
		}
		c.report()
	}
}

func (c *caller) introduce(n *core.Node) {
	s := c.server
	s.mu.Lock() // so that SetGroups sees the caller before or after, not between
	defer s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claim = claimOf(n)
	c.group = s.group(s.groupOf(c.claim))
	c.known.Node, c.known.Group, c.known.Zone = n.GetId(), c.group.name, n.GetLocality().GetZone()
	c.known.Agent = agentOf(n)
	s.log.Info("caller connected", "node", c.known.Node, "group", c.group.name, "agent", c.known.Agent)
}

func agentOf(n *core.Node) string {
	if v := n.GetUserAgentVersion(); v != "" {
		return n.GetUserAgentName() + " " + v
	}
	return n.GetUserAgentName()
}

// request takes in what a caller asks for, and whether it takes what it was sent.
func (c *caller) request(r *discovery.DiscoveryRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	typeURL := r.GetTypeUrl()
	table := c.group.direct[typeURL]
	if table == nil {
		return // a type that callers do not get; there will never be an answer
	}
	a := c.asks[typeURL]
	if a == nil {
		a = newAsked(typeURL, table)
		if typeURL == resource.ClusterType {
			a.shell = *c.server.shell.Load()
		}
		c.asks[typeURL] = a
	} else if a.stale(r) {
		return
	}
	a.want(r.GetResourceNames())
	if a.waits {
		a.waits = false
		c.answer(a, r)
	}
}

// answer takes in an ACK or a NACK. What was refused is not sent again before it
// changes.
func (c *caller) answer(a *asked, r *discovery.DiscoveryRequest) {
	if r.GetErrorDetail() == nil {
		c.known.LastAck = time.Now()
		c.takes(a, r.GetTypeUrl())
		return
	}
	names := a.names
	if len(names) == 0 { // nothing but what is gone differed
		names = slices.Sorted(maps.Keys(a.sent))
	}
	no := Rejection{Node: c.known.Node, Type: r.GetTypeUrl(), Resources: names, Message: r.GetErrorDetail().GetMessage(), At: time.Now()}
	c.refused[r.GetTypeUrl()] = no
	c.server.log.Warn("caller rejected resources", "node", no.Node, "type", no.Type, "resources", no.Resources, "message", no.Message)
}

// takes forgets refusals of what was accepted.
func (c *caller) takes(a *asked, typeURL string) {
	no := c.refused[typeURL]
	no.Resources = slices.DeleteFunc(slices.Clone(no.Resources), func(name string) bool { return a.whole || slices.Contains(a.names, name) })
	c.refused[typeURL] = no
}

// send sends what is due, in the order of CallerTypes.
func (c *caller) send() error {
	if !c.isOpen() {
		return nil
	}
	for _, typeURL := range CallerTypes() {
		if r := c.next(typeURL); r != nil {
			if err := c.wire.Send(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *caller) next(typeURL string) *discovery.DiscoveryResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.asks[typeURL]
	if a == nil {
		return nil
	}
	r := a.next()
	if r == nil {
		return nil
	}
	r.TypeUrl, r.Nonce = typeURL, c.server.nextNonce()
	a.nonce, a.waits = r.Nonce, true
	return r
}

// isIn is the name of the caller's group; empty until it is known.
func (c *caller) isIn() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.Group
}

func (c *caller) isOpen() bool {
	c.mu.Lock()
	g := c.group
	c.mu.Unlock()
	return g != nil && g.IsOpen()
}
