package grpcjson_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/kongdao/kongdao/api/grpcjson"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
)

func read(t testing.TB, data []byte) *grpcjson.Set {
	t.Helper()
	s, err := grpcjson.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMatch(t *testing.T) {
	s := read(t, grpcjsontest.Set(t))
	tr, err := s.Transcoder([]string{grpcjsontest.Service}, true)
	if err != nil {
		t.Fatal(err)
	}
	for call, want := range map[string]string{
		"GET /v1/items/7":                      "/shop.v1.Items/Get",
		"GET /v1/items/7/":                     "/shop.v1.Items/Get",
		"GET /v1/items":                        "/shop.v1.Items/List",
		"GET /v1/items//":                      "/shop.v1.Items/List",
		"PUT /v1/items/7":                      "/shop.v1.Items/Put",
		"POST /v1/items:put":                   "/shop.v1.Items/Put",
		"POST /v1/items:get":                   "404",
		"POST /v1/items/put":                   "404",
		"GET /v1/shops/a/items/b":              "/shop.v1.Items/Get",
		"GET /v1/files":                        "/shop.v1.Items/File",
		"GET /v1/files/a/b":                    "/shop.v1.Items/File",
		"POST /shop.v1.Items/Plain":            "/shop.v1.Items/Plain",
		"POST /shop.v1.Items/Get":              "404",
		"DELETE /v1/items/7":                   "404",
		"GET /v1/items/7?stock=3":              "/shop.v1.Items/Get",
		"GET /v1/items/7?stock=x":              "400",
		"GET /v1/items/7?shop.parent.name=x":   "/shop.v1.Items/Get",
		"GET /v1/items/7?shop.parent.color=x":  "400",
		"GET /v1/items/7?id.x=x":               "400",
		"GET /v1/items/7?fullName=x&full_name": "/shop.v1.Items/Get",
	} {
		method, rest, _ := strings.Cut(call, " ")
		path, query, _ := strings.Cut(rest, "?")
		c := tr.Match(method, path, query, false)
		got := c.Method
		if c.Status != 0 {
			got = fmt.Sprint(c.Status)
		}
		if got != want {
			t.Errorf("%s: %s %s, want %s", call, got, c.Reason, want)
		}
	}
	if c := tr.Match("GET", "/v1/items/7", "color=red", true); c.Method == "" {
		t.Errorf("an unknown parameter, lenient: %+v", c)
	}
	if c := tr.Match("GET", "/v1/items", "", false); !c.ServerStreams || c.ClientStreams {
		t.Errorf("List streams: %+v", c)
	}
}

func TestWrongSets(t *testing.T) {
	alter := func(change func(files *descriptorpb.FileDescriptorSet)) []byte {
		files := grpcjsontest.Files()
		change(files)
		out, err := proto.Marshal(files)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	rule := func(h *annotations.HttpRule) []byte {
		return alter(func(files *descriptorpb.FileDescriptorSet) {
			m := files.File[3].Service[0].Method[4]
			m.Options = &descriptorpb.MethodOptions{}
			proto.SetExtension(m.Options, annotations.E_Http, h)
		})
	}
	get := func(path string) []byte {
		return rule(&annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: path}})
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":         {nil, "no descriptor set"},
		"text":            {[]byte("syntax = proto3;"), "no descriptor set"},
		"too long":        {make([]byte, grpcjson.MaxFile+1), "want at most"},
		"no imports":      {alter(func(f *descriptorpb.FileDescriptorSet) { f.File = f.File[3:] }), "--include_imports"},
		"too much":        {alter(func(f *descriptorpb.FileDescriptorSet) { f.File[3].Package = proto.String(strings.Repeat("a", 1<<20)) }), "want"},
		"no path":         {rule(&annotations.HttpRule{}), "has no path"},
		"no slash":        {get("v1"), "begin with a slash"},
		"a star behind":   {get("/v1/**/*"), "a star behind **"},
		"an open brace":   {get("/v1/{id"), "neither a word"},
		"half a variable": {get("/v1/x{id}"), "neither a word"},
		"no verb":         {get("/v1/x:"), "a verb that is no word"},
		"an unknown field": {
			get("/v1/{color}"), "names the field color, which shop.v1.Item has not",
		},
		"an unknown body": {
			rule(&annotations.HttpRule{Pattern: &annotations.HttpRule_Post{Post: "/v1/x"}, Body: "color"}), "is the field color",
		},
		"taken": {get("/v1/items/{full_name}"), "takes the same calls as GET /v1/items/{id}"},
	} {
		s, err := grpcjson.Read(c.data)
		if err == nil {
			_, err = s.Transcoder([]string{grpcjsontest.Service}, false)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	s := read(t, grpcjsontest.Set(t))
	if _, err := s.Transcoder([]string{"shop.v1.Shop"}, true); err == nil || !strings.Contains(err.Error(), "which has shop.v1.Items") {
		t.Errorf("an unknown service: %v", err)
	}
}

// TestOrderOfFiles: gateways read a set from its beginning, so imports come first,
// whatever wrote it.
func TestOrderOfFiles(t *testing.T) {
	files := grpcjsontest.Files()
	files.File[0], files.File[3] = files.File[3], files.File[0]
	files.File[1].SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{LeadingComments: proto.String("a comment")}}}
	mixed, err := proto.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := read(t, mixed), read(t, grpcjsontest.Set(t)); string(a.Bytes()) != string(b.Bytes()) || strings.Contains(string(a.Bytes()), "a comment") {
		t.Error("the order of files, or their comments, make a difference")
	}
}

// TestOptionsStayAtHome: files for options alone do not go to gateways; those that
// also have types which are used do, with what they need.
func TestOptionsStayAtHome(t *testing.T) {
	names := func(alter func(files *descriptorpb.FileDescriptorSet)) (names []string) {
		files, sent := grpcjsontest.Files(), &descriptorpb.FileDescriptorSet{}
		alter(files)
		data, err := proto.Marshal(files)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(read(t, data).Bytes(), sent); err != nil {
			t.Fatal(err)
		}
		for _, f := range sent.File {
			names = append(names, fmt.Sprintf("%s%v", f.GetName(), f.GetPublicDependency()))
		}
		return names
	}
	if got := names(func(*descriptorpb.FileDescriptorSet) {}); fmt.Sprint(got) != "[shop/v1/items.proto[]]" {
		t.Errorf("of a set with options: %v", got)
	}
	got := names(func(files *descriptorpb.FileDescriptorSet) { // a field of a type that annotations need
		shop := files.File[3]
		shop.Dependency = []string{"google/api/annotations.proto", "google/api/http.proto"}
		shop.PublicDependency = []int32{1}
		shop.MessageType[1].Field[1].TypeName = proto.String(".google.api.HttpRule")
	})
	if fmt.Sprint(got) != "[google/api/http.proto[] shop/v1/items.proto[0]]" {
		t.Errorf("of a set whose message has an option's type: %v", got)
	}
	got = names(func(files *descriptorpb.FileDescriptorSet) { // details of errors, which nobody imports
		files.File = append(files.File, &descriptorpb.FileDescriptorProto{Name: proto.String("details.proto"), MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Detail")}}})
	})
	if fmt.Sprint(got) != "[details.proto[] shop/v1/items.proto[]]" {
		t.Errorf("of a set with details: %v", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(grpcjsontest.Set(f), "/v1/items/7", "stock=3&a.b=%31")
	f.Add([]byte{}, "/", "")
	f.Fuzz(func(t *testing.T, data []byte, path, query string) {
		s, err := grpcjson.Read(data)
		if err != nil {
			return
		}
		if _, err := grpcjson.Read(s.Bytes()); err != nil {
			t.Fatalf("what it makes it does not take: %v", err)
		}
		if tr, err := s.Transcoder(s.Services(), true); err == nil && strings.HasPrefix(path, "/") {
			tr.Match("GET", path, query, len(query)%2 == 0)
		}
	})
}
