// Package grpcjsontest has a descriptor set for tests, of a shop:
//
//	service shop.v1.Items {
//	  rpc Get(Item) returns (Item)           GET /v1/items/{id}, and GET /v1/shops/{shop.name=*}/items/{id}
//	  rpc Put(Item) returns (Item)           PUT /v1/items/{id} with the whole message as body, and POST /v1/items:put
//	  rpc List(Item) returns (stream Item)   GET /v1/items
//	  rpc File(Item) returns (Item)          GET /v1/files/{id=**}
//	  rpc Plain(Item) returns (Item)         without a rule
//	}
//	message Item { string id = 1; int32 stock = 2; Shop shop = 3; repeated string tags = 4; string full_name = 5; }
//	message Shop { string name = 1; Shop parent = 2; }
package grpcjsontest

import (
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson"
)

// Service is the full name of the service.
const Service = "shop.v1.Items"

// Files are the shop's file and everything that it imports.
func Files() *descriptorpb.FileDescriptorSet {
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
		protodesc.ToFileDescriptorProto(annotations.File_google_api_http_proto),
		protodesc.ToFileDescriptorProto(annotations.File_google_api_annotations_proto),
		shop(),
	}}
}

// Set is Files as protoc writes them.
func Set(t testing.TB) []byte {
	t.Helper()
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(Files())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Transcode transcodes calls of the service, with its set read.
func Transcode(t testing.TB) *api.Transcode {
	t.Helper()
	set, err := grpcjson.Read(Set(t))
	if err != nil {
		t.Fatal(err)
	}
	return &api.Transcode{DescriptorSet: "items.pb", Services: []string{Service}, Set: set}
}

func shop() *descriptorpb.FileDescriptorProto {
	get := func(path string) *annotations.HttpRule {
		return &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: path}}
	}
	both := get("/v1/items/{id}")
	both.AdditionalBindings = []*annotations.HttpRule{get("/v1/shops/{shop.name=*}/items/{id}")}
	put := &annotations.HttpRule{Pattern: &annotations.HttpRule_Put{Put: "/v1/items/{id}"}, Body: "*", AdditionalBindings: []*annotations.HttpRule{
		{Pattern: &annotations.HttpRule_Post{Post: "/v1/items:put"}, Body: "*"},
	}}
	stream := method("List", get("/v1/items"))
	stream.ServerStreaming = proto.Bool(true)
	return &descriptorpb.FileDescriptorProto{
		Name: proto.String("shop/v1/items.proto"), Package: proto.String("shop.v1"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/api/annotations.proto"},
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Item"), Field: []*descriptorpb.FieldDescriptorProto{
				field("id", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("stock", 2, descriptorpb.FieldDescriptorProto_TYPE_INT32),
				message(field("shop", 3, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)),
				repeated(field("tags", 4, descriptorpb.FieldDescriptorProto_TYPE_STRING)),
				field("full_name", 5, descriptorpb.FieldDescriptorProto_TYPE_STRING),
			}},
			{Name: proto.String("Shop"), Field: []*descriptorpb.FieldDescriptorProto{
				field("name", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				message(field("parent", 2, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)),
			}},
		},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Items"), Method: []*descriptorpb.MethodDescriptorProto{
			method("Get", both), method("Put", put), stream, method("File", get("/v1/files/{id=**}")), method("Plain", nil),
		}}},
	}
}

func method(name string, rule *annotations.HttpRule) *descriptorpb.MethodDescriptorProto {
	m := &descriptorpb.MethodDescriptorProto{Name: proto.String(name), InputType: proto.String(".shop.v1.Item"), OutputType: proto.String(".shop.v1.Item")}
	if rule != nil {
		m.Options = &descriptorpb.MethodOptions{}
		proto.SetExtension(m.Options, annotations.E_Http, rule)
	}
	return m
}

func field(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(number), Type: kind.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
}

func repeated(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return f
}

func message(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	f.TypeName = proto.String(".shop.v1.Shop")
	return f
}
