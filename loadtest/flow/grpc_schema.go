package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Descriptors reads a FileDescriptorSet, as protoc --include_imports
// --descriptor_set_out writes it.
func Descriptors(data []byte) (protodesc.Resolver, error) {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil || len(set.File) == 0 {
		return nil, errors.New("is no FileDescriptorSet, want what protoc --include_imports --descriptor_set_out writes")
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("is not complete, want protoc --include_imports: %w", err)
	}
	return files, nil
}

// CheckMethod says what is wrong with a method's path, such as /shop.Items/Get, and
// a message in JSON (nil: none yet).
func CheckMethod(files protodesc.Resolver, service, name string, body []byte) error {
	m, err := findMethod(files, service, name)
	if err != nil {
		return err
	}
	if m.IsStreamingClient() {
		return fmt.Errorf("%s/%s takes a stream of requests, want a unary method or one that answers with a stream", service, name)
	}
	if body != nil {
		_, err = (&grpcCall{method: m}).encode(body)
	}
	return err
}

func findMethod(files protodesc.Resolver, service, name string) (protoreflect.MethodDescriptor, error) {
	d, err := files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("service %s is unknown to the descriptors", service)
	}
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no service", service)
	}
	m := s.Methods().ByName(protoreflect.Name(name))
	if m == nil {
		return nil, fmt.Errorf("service %s has no method %s", service, name)
	}
	return m, nil
}

// reflectMethod asks the server for the files that describe a service.
func reflectMethod(ctx context.Context, conn *grpc.ClientConn, service, name string) (protoreflect.MethodDescriptor, error) {
	stream, err := reflection.NewServerReflectionClient(conn).ServerReflectionInfo(ctx, grpc.ForceCodec(protoCodec{}))
	if err != nil {
		return nil, noReflection(err)
	}
	defer func() { _ = stream.CloseSend() }()
	known := map[string]*descriptorpb.FileDescriptorProto{}
	ask := []*reflection.ServerReflectionRequest{{
		MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service},
	}}
	for len(ask) > 0 {
		if ask, err = askFiles(stream, ask, known); err != nil {
			return nil, err
		}
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range known {
		set.File = append(set.File, f)
	}
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("the server's reflection: %w", err)
	}
	return findMethod(files, service, name)
}

func noReflection(err error) error {
	if status.Code(err) == codes.Unimplemented {
		return errors.New("the server has no reflection: want descriptors, a file with its FileDescriptorSet")
	}
	return fmt.Errorf("ask the server's reflection: %w", err)
}

// maxFiles bounds what a server may send of its schema.
const maxFiles = 10_000

// askFiles returns what is to be asked next: files that the new ones import.
func askFiles(stream reflection.ServerReflection_ServerReflectionInfoClient, ask []*reflection.ServerReflectionRequest, known map[string]*descriptorpb.FileDescriptorProto) ([]*reflection.ServerReflectionRequest, error) {
	var next []*reflection.ServerReflectionRequest
	wanted := map[string]bool{}
	for _, q := range ask {
		if err := stream.Send(q); err != nil {
			_, err = stream.Recv() // which says why
			return nil, noReflection(err)
		}
		res, err := stream.Recv()
		if err != nil {
			return nil, noReflection(err)
		}
		if e := res.GetErrorResponse(); e != nil {
			return nil, fmt.Errorf("the server's reflection: %s", e.GetErrorMessage())
		}
		for _, raw := range res.GetFileDescriptorResponse().GetFileDescriptorProto() {
			f := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(raw, f); err != nil {
				return nil, fmt.Errorf("the server's reflection: %w", err)
			}
			known[f.GetName()] = f
			for _, name := range f.GetDependency() {
				wanted[name] = true
			}
		}
	}
	for name := range wanted {
		if known[name] == nil && builtIn(name, known) == nil {
			next = append(next, &reflection.ServerReflectionRequest{
				MessageRequest: &reflection.ServerReflectionRequest_FileByFilename{FileByFilename: name},
			})
		}
	}
	if len(known) > maxFiles {
		return nil, fmt.Errorf("the server's reflection sends more than %d files", maxFiles)
	}
	return next, nil
}

// builtIn adds a file that this program knows, such as google/protobuf/empty.proto.
func builtIn(name string, known map[string]*descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	d, err := protoregistry.GlobalFiles.FindFileByPath(name)
	if err != nil || !strings.HasPrefix(name, "google/protobuf/") { // others may be the server's own
		return nil
	}
	known[name] = protodesc.ToFileDescriptorProto(d)
	for i := range d.Imports().Len() {
		builtIn(d.Imports().Get(i).Path(), known)
	}
	return known[name]
}

// protoCodec is grpc's own, which the connection's codec for raw bytes replaces.
type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(v any) ([]byte, error) { return proto.Marshal(v.(proto.Message)) }

func (protoCodec) Unmarshal(data []byte, v any) error {
	return proto.Unmarshal(data, v.(proto.Message))
}
