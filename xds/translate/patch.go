package translate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/kongdao/kongdao/xds/model"
)

// Patch is what changes in a shard: its frame with the hosts that are new or other
// ones, and the names of hosts that are gone. Gateways take whole shards, so it is
// put into the bytes of the last one, and nothing that stays is translated or
// marshalled again.
type Patch struct {
	Put  *route.RouteConfiguration
	Gone []string
}

// RoutesOf is what a change has of a route configuration: all of it, or of a shard
// what is put into it.
func (d *Delta) RoutesOf(name string) *route.RouteConfiguration {
	if p := d.Patches[name]; p != nil {
		return p.Put
	}
	return d.Routes[name]
}

// Field numbers of the messages that patches are put into.
const (
	nameField  = 1 // of a route configuration, and of a virtual host
	hostsField = 2 // of a route configuration
)

var errMalformed = errors.New("malformed message")

// Apply puts the patch into the bytes of a shard, and returns those that the whole
// shard would be marshalled to.
func (p *Patch) Apply(old []byte) ([]byte, error) {
	frame, err := p.frame()
	if err != nil {
		return nil, err
	}
	put, err := p.hosts()
	if err != nil {
		return nil, err
	}
	size := 0
	for _, h := range put {
		size += len(h.bytes)
	}
	out := make([]byte, 0, len(old)+size)
	out = append(out, frame.head...)
	err = eachHost(old, func(name string, field []byte) {
		for ; len(put) > 0 && put[0].name < name; put = put[1:] {
			out = append(out, put[0].bytes...)
		}
		if len(put) > 0 && put[0].name == name {
			out = append(out, put[0].bytes...)
			put = put[1:]
			return
		}
		if !slices.Contains(p.Gone, name) {
			out = append(out, field...)
		}
	})
	for _, h := range put {
		out = append(out, h.bytes...)
	}
	return append(out, frame.tail...), err
}

// encodedHost is a virtual host as a field of its route configuration.
type encodedHost struct {
	name  string
	bytes []byte
}

func (p *Patch) hosts() (all []encodedHost, err error) {
	for _, v := range p.Put.GetVirtualHosts() {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("marshal host %s: %w", v.GetName(), err)
		}
		field := protowire.AppendTag(make([]byte, 0, len(body)+8), hostsField, protowire.BytesType)
		all = append(all, encodedHost{v.GetName(), protowire.AppendBytes(field, body)})
	}
	slices.SortFunc(all, func(a, b encodedHost) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// frame is what stands before and behind the hosts.
type frame struct{ head, tail []byte }

func (p *Patch) frame() (frame, error) {
	empty := &route.RouteConfiguration{}
	setAll(empty.ProtoReflect(), p.Put.ProtoReflect(), "virtual_hosts")
	all, err := proto.MarshalOptions{Deterministic: true}.Marshal(empty)
	if err != nil {
		return frame{}, fmt.Errorf("marshal %s: %w", p.Put.GetName(), err)
	}
	number, _, n := protowire.ConsumeField(all)
	if n < 0 || number != nameField {
		return frame{}, errMalformed
	}
	return frame{all[:n], all[n:]}, nil
}

// eachHost visits the hosts of a marshalled route configuration.
func eachHost(body []byte, visit func(name string, field []byte)) error {
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeField(body)
		if n < 0 {
			return errMalformed
		}
		if number == hostsField && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(body)
			host, _ := protowire.ConsumeBytes(body[tag:n])
			first, _, at := protowire.ConsumeTag(host)
			name, length := protowire.ConsumeBytes(host[max(at, 0):])
			if first != nameField || length < 0 {
				return errMalformed
			}
			visit(string(name), body[:n])
		}
		body = body[n:]
	}
	return nil
}

// patches are the changes of shards, by name.
func (t *translator) patches(hosts []model.HostChange) map[string]*Patch {
	all := map[string]*Patch{}
	for _, c := range hosts {
		h := c.Now
		if h == nil {
			h = c.Before
		}
		if h.Wildcard() {
			continue
		}
		name := t.ShardName(h.Name)
		if all[name] == nil {
			all[name] = &Patch{Put: t.frame(name)}
		}
		if c.Now == nil {
			all[name].Gone = append(all[name].Gone, h.Name)
			continue
		}
		all[name].Put.VirtualHosts = append(all[name].Put.VirtualHosts, t.virtualHost(h))
	}
	return all
}

// Shard is a whole shard of exact hosts, for whoever has not its last state.
func Shard(c Config, w *model.World, name string) (*route.RouteConfiguration, error) {
	t := &translator{Config: c.at(w)}
	out := t.routesNamed(w, name)
	return out, errors.Join(t.errs...)
}

// setAll shares everything that a message holds, but one field, with another.
func setAll(to, from protoreflect.Message, but protoreflect.Name) {
	from.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if f.Name() != but {
			to.Set(f, value)
		}
		return true
	})
}
