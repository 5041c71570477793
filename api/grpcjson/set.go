package grpcjson

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Bounds of a descriptor set, bytes: of its file, and of what of it goes to
// gateways, which is all but comments and files that are there for options alone.
const (
	MaxFile = 8 << 20
	MaxSet  = 1 << 20
)

// Set is a descriptor set: files with their imports.
type Set struct {
	bytes    []byte
	services map[string][]method
	messages map[string]message
}

// method is one of a service.
type method struct {
	path       string // /package.Service/Method
	input      string // name of its message
	rules      []rule
	clientMany bool // the client sends a stream
	serverMany bool
}

// message is the fields of a message, by both of their names.
type message map[string]field

// field is one of a message.
type field struct {
	kind    protoreflect.Kind
	message string // its name when it is one
}

// Read takes in a FileDescriptorSet with every import in it. Errors say what is
// wrong with the file as a whole, and never quote it.
func Read(data []byte) (*Set, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("has %d bytes, want at most %d", len(data), MaxFile)
	}
	files := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, files); err != nil || len(files.GetFile()) == 0 {
		return nil, errors.New("is no descriptor set, want what protoc --include_imports --descriptor_set_out=FILE writes")
	}
	for _, f := range files.GetFile() {
		f.SourceCodeInfo = nil
	}
	registry, err := protodesc.NewFiles(files)
	if err != nil {
		return nil, fmt.Errorf("is no whole descriptor set, want what protoc --include_imports --descriptor_set_out=FILE writes: %w", err)
	}
	s := &Set{services: map[string][]method{}, messages: map[string]message{}}
	if s.bytes, err = marshal(pruned(files)); err != nil {
		return nil, err
	}
	registry.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		s.addMessages(f.Messages())
		return true
	})
	return s, s.addServices(registry)
}

// marshal puts each file behind its imports, as gateways need it.
func marshal(files *descriptorpb.FileDescriptorSet) ([]byte, error) {
	byName := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range files.GetFile() {
		byName[f.GetName()] = f
	}
	sorted, done := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(name string)
	add = func(name string) {
		f := byName[name]
		if f == nil || done[name] {
			return
		}
		done[name] = true
		for _, d := range f.GetDependency() {
			add(d)
		}
		sorted.File = append(sorted.File, f)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		add(name)
	}
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(sorted)
	if err != nil {
		return nil, fmt.Errorf("cannot be written again: %w", err)
	}
	if len(out) > MaxSet {
		return nil, fmt.Errorf("has %d bytes without its comments, want at most %d: every route holds it", len(out), MaxSet)
	}
	return out, nil
}

func (s *Set) addMessages(all protoreflect.MessageDescriptors) {
	for i := range all.Len() {
		d := all.Get(i)
		m := message{}
		for j := range d.Fields().Len() {
			f := d.Fields().Get(j)
			it := field{kind: f.Kind()}
			if f.Message() != nil {
				it.message = string(f.Message().FullName())
			}
			m[string(f.Name())], m[f.JSONName()] = it, it
		}
		s.messages[string(d.FullName())] = m
		s.addMessages(d.Messages())
	}
}

func (s *Set) addServices(registry *protoregistry.Files) (err error) {
	registry.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			name := string(service.FullName())
			s.services[name] = []method{}
			for j := range service.Methods().Len() {
				m, bad := newMethod(service.Methods().Get(j))
				if bad != nil {
					err = errors.Join(err, bad)
					continue
				}
				s.services[name] = append(s.services[name], m)
			}
		}
		return true
	})
	return err
}

func newMethod(d protoreflect.MethodDescriptor) (method, error) {
	m := method{
		path: fmt.Sprintf("/%s/%s", d.Parent().FullName(), d.Name()), input: string(d.Input().FullName()),
		clientMany: d.IsStreamingClient(), serverMany: d.IsStreamingServer(),
	}
	options, ok := d.Options().(*descriptorpb.MethodOptions)
	if !ok || !proto.HasExtension(options, annotations.E_Http) {
		return m, nil
	}
	http, ok := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
	if !ok {
		return m, nil
	}
	for _, h := range append([]*annotations.HttpRule{http}, http.GetAdditionalBindings()...) {
		r, err := newRule(h)
		if err != nil {
			return m, fmt.Errorf("%s: %w", m.path, err)
		}
		m.rules = append(m.rules, r)
	}
	return m, nil
}

// Bytes are the set as gateways get it. They must not be changed.
func (s *Set) Bytes() []byte { return s.bytes }

// Services are the full names of all services, sorted.
func (s *Set) Services() []string { return slices.Sorted(maps.Keys(s.services)) }

// find follows a path of names from a message; ok is false where it leads nowhere.
func (s *Set) find(from string, path []string) (last field, ok bool) {
	last = field{kind: protoreflect.MessageKind, message: from}
	for _, name := range path {
		if last.kind != protoreflect.MessageKind {
			return field{}, false
		}
		if last, ok = s.messages[last.message][name]; !ok {
			return field{}, false
		}
	}
	return last, len(path) > 0
}
