package grpcjson

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// pruned is a set without the files that are only there for options, such as
// google/api/annotations.proto, and google/protobuf/descriptor.proto, which they
// need: gateways know the option that they look at by themselves, hold every set once
// for each route, and these files are most of a small one. What the set had to be
// whole for, it was.
func pruned(files *descriptorpb.FileDescriptorSet) *descriptorpb.FileDescriptorSet {
	drop := map[string]bool{}
	for _, f := range files.GetFile() {
		if f.GetName() == "google/protobuf/descriptor.proto" || forOptions(f) {
			drop[f.GetName()] = true
		}
	}
	dropImports(files, drop)
	for again := true; again; {
		again = false
		for _, f := range files.GetFile() {
			if drop[f.GetName()] {
				continue
			}
			for _, name := range providers(files, f) {
				again = again || drop[name]
				delete(drop, name)
			}
		}
	}
	out := &descriptorpb.FileDescriptorSet{}
	for _, f := range files.GetFile() {
		if !drop[f.GetName()] {
			out.File = append(out.File, without(f, drop))
		}
	}
	if _, err := protodesc.NewFiles(out); err != nil {
		return files
	}
	return out
}

// forOptions tells whether a file has nothing but options.
func forOptions(f *descriptorpb.FileDescriptorProto) bool {
	options := func(x *descriptorpb.FieldDescriptorProto) bool {
		return strings.HasPrefix(x.GetExtendee(), ".google.protobuf.") && strings.HasSuffix(x.GetExtendee(), "Options")
	}
	return len(f.GetService()) == 0 && slices.ContainsFunc(f.GetExtension(), options)
}

// dropImports adds what only dropped files import, without services of its own.
func dropImports(files *descriptorpb.FileDescriptorSet, drop map[string]bool) {
	for again := true; again; {
		again = false
		for _, f := range files.GetFile() {
			name, kept, importers := f.GetName(), false, 0
			for _, other := range files.GetFile() {
				if slices.Contains(other.GetDependency(), name) {
					importers++
					kept = kept || !drop[other.GetName()]
				}
			}
			if importers > 0 && !kept && !drop[name] && len(f.GetService()) == 0 {
				drop[name], again = true, true
			}
		}
	}
}

// providers are the files that a file takes types from.
func providers(files *descriptorpb.FileDescriptorSet, f *descriptorpb.FileDescriptorProto) (names []string) {
	used := uses(f.GetExtension(), f.GetMessageType())
	for _, s := range f.GetService() {
		for _, m := range s.GetMethod() {
			used = append(used, m.GetInputType(), m.GetOutputType())
		}
	}
	for _, other := range files.GetFile() {
		defined := "." + other.GetPackage() + "."
		if other.GetPackage() == "" {
			defined = "."
		}
		defines := func(used string) bool {
			first, _, _ := strings.Cut(strings.TrimPrefix(used, defined), ".")
			return strings.HasPrefix(used, defined) && hasType(other, first)
		}
		if other != f && slices.ContainsFunc(used, defines) {
			names = append(names, other.GetName())
		}
	}
	return names
}

func hasType(f *descriptorpb.FileDescriptorProto, name string) bool {
	return slices.ContainsFunc(f.GetMessageType(), func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == name }) ||
		slices.ContainsFunc(f.GetEnumType(), func(e *descriptorpb.EnumDescriptorProto) bool { return e.GetName() == name })
}

// uses are the types that fields and messages name.
func uses(fields []*descriptorpb.FieldDescriptorProto, messages []*descriptorpb.DescriptorProto) (all []string) {
	for _, x := range fields {
		all = append(all, x.GetTypeName(), x.GetExtendee())
	}
	for _, m := range messages {
		all = append(all, uses(slices.Concat(m.GetField(), m.GetExtension()), m.GetNestedType())...)
	}
	return all
}

// without is a file that does not import what is dropped. The numbers of imports that
// are passed on go with them.
func without(f *descriptorpb.FileDescriptorProto, drop map[string]bool) *descriptorpb.FileDescriptorProto {
	if !slices.ContainsFunc(f.GetDependency(), func(name string) bool { return drop[name] }) {
		return f
	}
	out, ok := proto.Clone(f).(*descriptorpb.FileDescriptorProto)
	if !ok {
		return f
	}
	out.Dependency, out.PublicDependency, out.WeakDependency = nil, nil, nil
	for i, name := range f.GetDependency() {
		if drop[name] {
			continue
		}
		at := int32(len(out.Dependency))
		out.Dependency = append(out.Dependency, name)
		if slices.Contains(f.GetPublicDependency(), int32(i)) {
			out.PublicDependency = append(out.PublicDependency, at)
		}
		if slices.Contains(f.GetWeakDependency(), int32(i)) {
			out.WeakDependency = append(out.WeakDependency, at)
		}
	}
	return out
}
