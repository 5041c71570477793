package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/preflight"
)

var update = flag.Bool("update", false, "write the golden files, and remove those without an input")

// state is what besides resources a World follows from.
type state struct {
	Ready       map[string]bool     `json:"ready"`
	ZoneWeights map[string]int      `json:"zoneWeights"`
	Pins        []model.Pin         `json:"pins"`
	Lifts       []model.Lift        `json:"lifts"`
	Keys        map[string][]string `json:"keys"`
	Broken      map[string]string   `json:"broken"`
	Files       map[string]string   `json:"files"`
	Group       *model.Group        `json:"group"`
}

// TestGolden translates testdata/*.in.yaml, with *.state.json where there is one,
// and compares with *.out.json.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no inputs", err)
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(in, ".in.yaml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			r := translated(t, world(t, name))
			checkAll(t, r)
			if filepath.Base(name) != "empty" {
				r.Listeners = nil // the same everywhere: see TestListenerNeverChanges
			}
			got, golden := render(t, r), name+".out.json"
			if *update {
				write(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got, rewrite with -update):\n%s", golden, diff)
			}
		})
	}
	outputs, _ := filepath.Glob("testdata/*.out.json")
	for _, out := range outputs {
		in := strings.TrimSuffix(out, ".out.json") + ".in.yaml"
		if _, err := os.Stat(in); err == nil {
			continue
		}
		t.Errorf("%s has no input", out)
		if *update {
			os.Remove(out)
		}
	}
}

func world(t *testing.T, name string) *model.World {
	t.Helper()
	text, err := os.ReadFile(name + ".in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, problems := api.Parse(name+".in.yaml", text)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	problems = api.LoadDescriptors(&set, func(string) ([]byte, error) { return grpcjsontest.Set(t), nil })
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var s state
	raw, err := os.ReadFile(name + ".state.json")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err == nil {
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
	}
	for _, keys := range s.Keys {
		for i, key := range keys {
			keys[i] = model.HashKey(key)
		}
	}
	return model.Build(model.Input{Set: set, Ready: s.Ready, ZoneWeights: s.ZoneWeights, Pins: s.Pins, Lifts: s.Lifts, Keys: s.Keys, Broken: s.Broken, Files: s.Files, Group: s.Group})
}

func translated(t *testing.T, w *model.World) *Resources {
	t.Helper()
	r, err := worldOf(Config{
		Address: "127.0.0.1", Port: 9000, Shards: 2, AccessLog: "/var/log/calls.log", AccessLogFormat: "%ROUTE_NAME%\n",
		ALS: true, ALSHeaders: []string{"user-agent"},
	}, w)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkAll holds every resource against the preflight, and every route against the
// promise that none leaves without a bucket and a cost.
func checkAll(t *testing.T, r *Resources) {
	t.Helper()
	check(t, r.Clusters)
	check(t, r.Endpoints)
	check(t, r.Listeners)
	check(t, r.Routes)
	check(t, r.Scopes)
	check(t, r.Extensions)
	checkRoutes(t, r)
	for name, s := range r.Scopes {
		if r.Routes[s.GetRouteConfigurationName()] == nil {
			t.Errorf("scope %s names %s, which is not there", name, s.GetRouteConfigurationName())
		}
	}
}

func checkRoutes(t *testing.T, r *Resources) {
	t.Helper()
	for _, c := range r.Routes {
		for _, v := range c.GetVirtualHosts() {
			for _, route := range v.GetRoutes() {
				checkCharge(t, route)
				checkClusters(t, route, r.Clusters)
			}
		}
	}
}

func check[M proto.Message](t *testing.T, messages map[string]M) {
	t.Helper()
	for name, m := range messages {
		for _, p := range preflight.Check(name, m) {
			t.Error(p)
		}
	}
}

func checkCharge(t *testing.T, r *route.Route) {
	t.Helper()
	fields := r.GetMetadata().GetFilterMetadata()[Namespace].GetFields()
	buckets := 0
	for _, tier := range model.Tiers() {
		if fields[tier.Key].GetStringValue() != "" {
			buckets++
		}
	}
	if cost := fields[keyCost].GetStringValue(); buckets != 1 || cost == "" || cost == "0" || !chargeable(r) {
		t.Errorf("route %s takes from %d buckets at cost %q, want one bucket and a cost that it can hold", r.GetName(), buckets, cost)
	}
	if strings.Contains(r.GetDirectResponse().GetBody().GetInlineString(), "uncharged_route") {
		t.Errorf("route %s was made without a charge", r.GetName())
	}
	for slot := range model.CallerSlots {
		checkCaller(t, r, fields, slot)
	}
}

// checkCaller wants all or nothing of a caller limit, and a bucket that holds at
// least one request.
func checkCaller(t *testing.T, r *route.Route, fields map[string]*structpb.Value, slot int) {
	t.Helper()
	text := func(key string) string { return fields[slotKey(key, slot)].GetStringValue() }
	bucket := text(keyCaller) + text(keyCallerIP)
	cost, _ := strconv.Atoi(text(keyCallerCost))
	size := 0
	if bucket != "" {
		for _, s := range model.Sizes() {
			if s.Key == text(keyCallerSize) {
				size = int(s.Tokens)
			}
		}
	}
	if (bucket == "") != (cost == 0) || cost > size || (bucket == "") != (text(keyCallerLabel) == "") {
		t.Errorf("route %s: slot %d has the bucket %q of %d tokens at cost %d", r.GetName(), slot, bucket, size, cost)
	}
}

func checkClusters(t *testing.T, r *route.Route, clusters map[string]*cluster.Cluster) {
	t.Helper()
	action := r.GetRoute()
	if action == nil {
		return
	}
	names := []string{action.GetCluster()}
	if w := action.GetWeightedClusters(); w != nil {
		names = nil
		for _, c := range w.GetClusters() {
			names = append(names, c.GetName())
		}
	}
	for _, name := range names {
		if clusters[name] == nil && name != nowhere {
			t.Errorf("route %s leads to cluster %q, which is not there", r.GetName(), name)
		}
	}
}

// TestListenerNeverChanges compares the listeners of all inputs: one that followed
// functions would refill every bucket.
func TestListenerNeverChanges(t *testing.T) {
	var first *Resources
	inputs, _ := filepath.Glob("testdata/*.in.yaml")
	for _, in := range inputs {
		r := translated(t, world(t, strings.TrimSuffix(in, ".in.yaml")))
		if first == nil {
			first = r
		}
		if !proto.Equal(first.Listeners[ListenerName], r.Listeners[ListenerName]) {
			t.Errorf("%s has another listener", in)
		}
	}
}

func TestEqualWorldsGiveEqualBytes(t *testing.T) {
	first := render(t, translated(t, world(t, "testdata/traffic")))
	for range 20 {
		if !bytes.Equal(first, render(t, translated(t, world(t, "testdata/traffic")))) {
			t.Fatal("the bytes differ")
		}
	}
}

// render is everything as JSON, with packed messages unpacked.
func render(t *testing.T, r *Resources) []byte {
	t.Helper()
	all := map[string]any{
		"clusters": tree(t, r.Clusters), "endpoints": tree(t, r.Endpoints), "listeners": tree(t, r.Listeners),
		"routes": tree(t, r.Routes), "scopes": tree(t, r.Scopes), "extensions": tree(t, r.Extensions),
	}
	out, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func tree[M proto.Message](t *testing.T, messages map[string]M) map[string]json.RawMessage {
	t.Helper()
	all := map[string]json.RawMessage{}
	for name, m := range messages {
		raw, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = descriptors.ReplaceAll(raw, []byte(`"protoDescriptorBin":"(a descriptor set)"`))
	}
	return all
}

// descriptors are long, and the same wherever they stand.
var descriptors = regexp.MustCompile(`"protoDescriptorBin":\s*"[^"]{100,}"`)

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
