package registry

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/internal/testkit"
)

var update = flag.Bool("update", false, "write the sample's descriptor set")

// TestSampleDescriptorSet: it is the one that tests use.
func TestSampleDescriptorSet(t *testing.T) {
	file := filepath.Join(sample, "items.pb")
	if *update {
		testkit.Must(t, os.WriteFile(file, grpcjsontest.Set(t), 0o644))
	}
	got, err := os.ReadFile(file)
	testkit.Must(t, err)
	if !bytes.Equal(got, grpcjsontest.Set(t)) {
		t.Errorf("%s is another one; write it with -update", file)
	}
}

const transcoded = `apiVersion: kongdao.io/v1
kind: Function
metadata: {name: items}
spec:
  routes: [{path: /v1/*}]
  transcode:
    descriptorSet: sets/items.pb
    services: [shop.v1.Items]
  revisions: [{name: r1, protocol: grpc, endpoints: [{address: "127.0.0.1:9101", zone: zb-a}]}]
`

// TestDescriptorSetsAreFollowed: a set that comes later, changes, breaks and goes is
// a change of the resources that name it, and of no others.
func TestDescriptorSetsAreFollowed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sets", "items.pb")
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "sets"), 0o755))
	write(t, filepath.Join(dir, "a.yaml"), transcoded)
	write(t, filepath.Join(dir, "b.yaml"), function("other", "/other"))
	watch := start(t, dir, time.Hour).snaps
	late := time.After(30 * time.Second)
	until := func(what string, ok func(Snapshot) bool) Snapshot {
		t.Helper()
		for {
			select {
			case s := <-watch:
				if ok(s) {
					return s
				}
			case <-late:
				t.Fatalf("%s: never", what)
			}
		}
	}
	size := func(s Snapshot) int {
		f := s.Set.Function("items")
		if f == nil || f.Spec.Transcode.Set == nil {
			return 0
		}
		return len(f.Spec.Transcode.Set.Bytes())
	}
	s := until("without its set", func(s Snapshot) bool { return len(s.Problems) > 0 })
	if p := s.Problems[0]; len(s.Set.Functions) != 1 || p.Line != 7 || p.Field != "spec.transcode.descriptorSet" || !strings.Contains(p.Message, "cannot be read: no such file") {
		t.Errorf("without its set: %+v", s.Problems)
	}
	set := grpcjsontest.Files()
	write(t, file, string(grpcjsontest.Set(t)))
	s = until("it comes", func(s Snapshot) bool { return size(s) > 0 })
	before := size(s)
	if len(s.Problems) > 0 || len(s.Set.Functions) != 2 {
		t.Errorf("it came: %v", s.Problems)
	}
	set.File[3].MessageType[0].Name = proto.String("AnItemWithALongName")
	for _, m := range set.File[3].Service[0].Method {
		m.InputType, m.OutputType = proto.String(".shop.v1.AnItemWithALongName"), proto.String(".shop.v1.AnItemWithALongName")
	}
	longer, err := proto.Marshal(set)
	testkit.Must(t, err)
	write(t, file, string(longer))
	until("it changes", func(s Snapshot) bool { return size(s) > before })
	write(t, file, "nonsense")
	s = until("it breaks", func(s Snapshot) bool { return len(s.Problems) > 0 })
	if size(s) <= before {
		t.Error("a broken set took the place of the one that was good")
	}
	write(t, file, string(grpcjsontest.Set(t)))
	until("it is mended", func(s Snapshot) bool { return size(s) == before && len(s.Problems) == 0 })
	testkit.Must(t, os.Remove(file))
	s = until("it goes", func(s Snapshot) bool { return len(s.Problems) > 0 })
	if size(s) != before {
		t.Error("a set that is gone takes its function away")
	}
}

// TestDescriptorSetWithoutService: what a set does not have is a problem with its line.
func TestDescriptorSetWithoutService(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"service": {"[shop.v1.Items]", "[shop.v1.Items, shop.v1.Orders]", "a.yaml:8: spec.transcode.services[1]: \"shop.v1.Orders\""},
		"path":    {"/v1/*", "/v2/*", "a.yaml:5: spec.routes[0].path: is \"/v2/*\", under which none of the methods is called"},
		"pods":    {"protocol: grpc, ", "", "spec.revisions[0].protocol: is missing, over which no gRPC goes"},
		"rewrite": {"{path: /v1/*}", "{path: /v1/*, rewrite: /v2/*}", "a.yaml:5: spec.routes[0].rewrite"},
		"none":    {"sets/items.pb", `""`, "a.yaml:7: spec.transcode.descriptorSet: is missing"},
	} {
		dir := t.TempDir()
		testkit.Must(t, os.Mkdir(filepath.Join(dir, "sets"), 0o755))
		write(t, filepath.Join(dir, "sets", "items.pb"), string(grpcjsontest.Set(t)))
		write(t, filepath.Join(dir, "a.yaml"), strings.Replace(transcoded, c.from, c.to, 1))
		_, problems := Load(dir)
		if len(problems) != 1 || !strings.Contains(problems[0].String(), c.want) {
			t.Errorf("%s: %v, want %s", name, problems, c.want)
		}
	}
}
