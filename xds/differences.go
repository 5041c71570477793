package xds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/translate"
)

// Difference is something that a gateway does not have as it should, in the words of
// those who write resources.
type Difference struct {
	What      string      `json:"what"`             // such as "routes", "revision feed/r1", "pods of feed/r1"
	Functions []api.Named `json:"functions"`        // whose it is, sorted by name: of routes, all that lie in one shard
	State     string      `json:"state"`            // refused, sent (not answered yet) or unsent
	Reason    string      `json:"reason,omitempty"` // what the gateway says, where it refuses
	Resource  string      `json:"resource"`         // Envoy's name for it
}

// Rejection is a refusal that has happened, in the same words.
type Rejection struct {
	serve.Rejection
	What      []string    `json:"what"`
	Functions []api.Named `json:"functions"` // all that are in it: one of them is to blame
}

// mostDifferences bounds what is told of one gateway: one that is just connecting
// lacks everything.
const mostDifferences = 100

// differences tells what of a group's World a gateway does not have.
func (s *Server) differences(w *model.World, pending []serve.Pending) (all []Difference, total int) {
	all = []Difference{}
	for _, p := range pending {
		if total++; len(all) < mostDifferences {
			all = append(all, s.difference(w, p))
		}
	}
	return all, total
}

func (s *Server) difference(w *model.World, p serve.Pending) Difference {
	what, functions := s.words(w, p.Type, p.Name)
	return Difference{What: what, Functions: functions, State: p.State, Reason: told(p.Type, p.Message), Resource: p.Name}
}

// told is a gateway's message. One about a secret may quote it.
func told(typeURL, message string) string {
	if message != "" && typeURL == resource.SecretType {
		return "the gateway does not take the certificate or its key; what it says may quote them and is not shown"
	}
	return brief(message)
}

// words are what a resource is to people, and the functions that it is of.
func (s *Server) words(w *model.World, typeURL, name string) (what string, functions []api.Named) {
	switch typeURL {
	case resource.ClusterType:
		return ownedBy(w, "revision ", "service ", name)
	case resource.EndpointType:
		return ownedBy(w, "pods of ", "pods of ", name)
	case resource.RouteType:
		return "routes", named(s.config.translation().Holds(orEmpty(w), name))
	case resource.ScopedRouteType:
		if host, ok := translate.HostOf(name); ok {
			return "host " + host, named(servedAt(w, host))
		}
		return "the table of hosts", []api.Named{}
	case resource.SecretType:
		return certificateOf(w, name), []api.Named{}
	case resource.ListenerType:
		return "entrance " + name, []api.Named{}
	case resource.ExtensionConfigType:
		return "who may call", []api.Named{}
	}
	return name, []api.Named{}
}

// ownedBy is a cluster: a revision of a function, or a service that gateways call.
func ownedBy(w *model.World, revision, service, name string) (string, []api.Named) {
	function, _, _ := strings.Cut(name, "/")
	if f := orEmpty(w).Function(function); f != nil {
		return revision + name, named([]*model.Function{f})
	}
	return service + name, []api.Named{}
}

func servedAt(w *model.World, host string) (all []*model.Function) {
	h := orEmpty(w).Host(host)
	if h == nil {
		return nil
	}
	for _, r := range h.Rules {
		if !slices.Contains(all, r.Function) {
			all = append(all, r.Function)
		}
	}
	return all
}

func certificateOf(w *model.World, secret string) string {
	if tls := orEmpty(w).TLS; tls != nil {
		for i, c := range tls.Slots {
			if translate.CertificateSecret(i) == secret && c.Name != "" {
				return "certificate " + c.Name
			}
		}
	}
	if secret == translate.ClientCASecret {
		return "authorities of client certificates"
	}
	return fmt.Sprintf("place for a certificate (%s)", secret)
}

func named(functions []*model.Function) []api.Named {
	all := []api.Named{}
	for _, f := range functions {
		all = append(all, api.Named{Name: f.Name, Source: f.Source})
	}
	slices.SortFunc(all, func(a, b api.Named) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b api.Named) bool { return a.Name == b.Name })
}

func orEmpty(w *model.World) *model.World {
	if w == nil {
		return &model.World{}
	}
	return w
}

// Rejections are the last refusals, oldest first.
func (s *Server) Rejections() []Rejection {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Rejection{}
	for _, r := range s.reject {
		out := Rejection{Rejection: r, What: []string{}, Functions: []api.Named{}}
		out.Message = told(r.Type, r.Message)
		w := s.lineOf(s.fleet.nodes[r.Node].Group).world
		for _, name := range r.Resources[:min(len(r.Resources), mostDifferences)] {
			what, functions := s.words(w, r.Type, name)
			if !slices.Contains(out.What, what) {
				out.What = append(out.What, what)
			}
			out.Functions = append(out.Functions, functions...)
		}
		slices.SortFunc(out.Functions, func(a, b api.Named) int { return cmp.Compare(a.Name, b.Name) })
		out.Functions = slices.CompactFunc(out.Functions, func(a, b api.Named) bool { return a.Name == b.Name })
		all = append(all, out)
	}
	return all
}
