package xds

import (
	"log/slog"
	"sync/atomic"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/proxyless"
	"github.com/kongdao/kongdao/xds/serve"
)

// direct brings a World to the callers of a group that use no gateway. Only the
// reconciling goroutine uses it; nil: there are none.
type direct struct {
	serve *serve.Group
	log   *slog.Logger
	last  atomic.Pointer[model.World] // nil before the first; others read it
}

func (s *Server) newDirect(group string) *direct {
	if !s.config.Proxyless {
		return nil
	}
	return &direct{serve: s.serve.Group(group), log: s.log.With("group", group)}
}

// send puts what differs where callers get it from, clusters and endpoints before
// the routes to them. They may leave at once: a caller that still has a route to a
// cluster keeps what it has of it, see serve.ServeCallers.
func (d *direct) send(world *model.World) {
	if d == nil {
		return
	}
	c, err := proxyless.Changes(d.last.Load(), world)
	if err != nil {
		d.log.Error("changes not published to callers without a gateway", "error", err)
		return
	}
	d.last.Store(world) // first: who misses what is withdrawn asks it why
	d.serve.UpdateCallers(resource.ClusterType, marshalled(d.log, c.Clusters), nil)
	d.serve.UpdateCallers(resource.EndpointType, marshalled(d.log, c.Endpoints), nil)
	d.serve.UpdateCallers(resource.RouteType, marshalled(d.log, c.Routes), nil)
	d.serve.UpdateCallers(resource.ListenerType, marshalled(d.log, c.Listeners), c.Withdrawn)
	d.serve.UpdateCallers(resource.RouteType, nil, c.Withdrawn)
	d.serve.UpdateCallers(resource.EndpointType, nil, c.Removed)
	d.serve.UpdateCallers(resource.ClusterType, nil, c.Removed)
}

func marshalled[M proto.Message](log *slog.Logger, messages map[string]M) map[string]*anypb.Any {
	all := make(map[string]*anypb.Any, len(messages))
	for name, m := range messages {
		body := &anypb.Any{}
		if err := anypb.MarshalFrom(body, m, proto.MarshalOptions{Deterministic: true}); err != nil {
			log.Error("not published to callers without a gateway", "name", name, "error", err)
			continue
		}
		all[name] = body
	}
	return all
}

// CallerState is one connected caller that uses no gateway.
type CallerState struct {
	serve.Caller
	// Missing are the functions that it asks for and does not get, sorted by name.
	Missing []MissingFunction `json:"missing"`
}

// MissingFunction is a function that callers without a gateway do not get.
type MissingFunction struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Callers are the connected callers that use no gateway, sorted by node; always none
// without Config.Proxyless.
func (s *Server) Callers() []CallerState {
	all := []CallerState{}
	for _, c := range s.serve.Callers() {
		state := CallerState{Caller: c, Missing: []MissingFunction{}}
		for _, name := range c.Missing {
			state.Missing = append(state.Missing, MissingFunction{name, s.withheld(c.Group, name)})
		}
		all = append(all, state)
	}
	return all
}

// withheld says why callers of a group do not get a function.
func (s *Server) withheld(group, function string) string {
	s.mu.Lock()
	w := s.lineOf(group).publish.direct.last.Load()
	s.mu.Unlock()
	if w == nil || w.Function(function) == nil {
		return "the group has no function of that name"
	}
	if reason := proxyless.Refusal(w.Function(function)); reason != "" {
		return reason
	}
	return "it is on its way"
}

// missed is told what callers ask for and do not get.
func (s *Server) missed(c serve.Member, names []string) {
	for _, name := range names {
		s.log.Warn("caller asks for a function that it does not get",
			"node", c.Node, "group", c.Group, "function", name, "reason", s.withheld(c.Group, name))
	}
}
