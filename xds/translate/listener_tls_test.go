package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/xds/model"
)

func tlsConfig(alter func(*TLS)) Config {
	c := Config{Address: "127.0.0.1", Port: 9000, Shards: 1, TLS: &TLS{
		Address: "127.0.0.1", Port: 9443, MinVersion: "1.2", Slots: 2, Share: 75,
	}}
	alter(c.TLS)
	return c
}

// TestListenersTLS compares what TLS makes of the listeners, and secrets, with
// testdata/tls/*.json: of each listener what differs from the one that there is
// without TLS, which is in testdata/empty.out.json.
func TestListenersTLS(t *testing.T) {
	w := model.Build(model.Input{TLS: &model.TLS{ClientCA: "CA", Slots: []model.Certificate{
		{Name: "a", Chain: "CHAIN A", Key: "KEY A"}, {Chain: "FILLER", Key: "FILLER KEY"},
	}}})
	for name, alter := range map[string]func(*TLS){
		"serve": func(*TLS) {},
		"clients": func(c *TLS) {
			c.ClientCerts, c.RequireClient, c.MinVersion, c.HSTS, c.HSTSAll = true, true, "1.3", time.Hour, true
		},
		"redirect": func(c *TLS) { c.Redirect = true },
	} {
		t.Run(name, func(t *testing.T) {
			r, err := worldOf(tlsConfig(alter), w)
			if err != nil {
				t.Fatal(err)
			}
			check(t, r.Listeners)
			check(t, r.Secrets)
			plain, err := worldOf(Config{Address: "127.0.0.1", Port: 9000, Shards: 1}, w)
			if err != nil {
				t.Fatal(err)
			}
			base := plainJSON(t, tree(t, plain.Listeners)[ListenerName])
			listeners := map[string]any{}
			for name, raw := range tree(t, r.Listeners) {
				listeners[name] = differing(base, plainJSON(t, raw))
			}
			got, err := json.MarshalIndent(map[string]any{"listeners": listeners, "secrets": tree(t, r.Secrets)}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := filepath.Join("testdata", "tls", name+".json")
			if *update {
				write(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s (-want +got, rewrite with -update):\n%s", golden, cmp.Diff(string(want), string(got)))
			}
		})
	}
}

func plainJSON(t *testing.T, raw json.RawMessage) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// differing is what of a value is other than in base: of mappings the keys that are,
// with null for those that are gone, of lists the entries, by name where they have
// names, with all names where those or their order are others.
func differing(base, got any) any {
	out := map[string]any{}
	switch got := got.(type) {
	case map[string]any:
		was, ok := base.(map[string]any)
		if !ok {
			return got
		}
		for key := range was {
			if _, there := got[key]; !there {
				out[key] = nil
			}
		}
		for key, v := range got {
			if !reflect.DeepEqual(was[key], v) {
				out[key] = differing(was[key], v)
			}
		}
	case []any:
		was, ok := base.([]any)
		if names, wasNames := namesOf(got), namesOf(was); ok && names != nil && wasNames != nil {
			return differingByName(was, got, wasNames, names)
		}
		if !ok || len(was) != len(got) {
			return got
		}
		for i, v := range got {
			out[fmt.Sprintf("[%d]", i)] = differing(was[i], v)
		}
		if first := out["[0]"]; len(got) > 1 && allEqual(out, first) {
			return map[string]any{fmt.Sprintf("each of %d", len(got)): first}
		}
		for i, v := range got {
			if reflect.DeepEqual(was[i], v) {
				delete(out, fmt.Sprintf("[%d]", i))
			}
		}
	default:
		return got
	}
	return out
}

func differingByName(was, got []any, wasNames, names []string) any {
	out := map[string]any{}
	if !slices.Equal(wasNames, names) {
		out["all names"] = names
	}
	for i, name := range names {
		j := slices.Index(wasNames, name)
		if j < 0 {
			out[name] = got[i]
		} else if !reflect.DeepEqual(was[j], got[i]) {
			out[name] = differing(was[j], got[i])
		}
	}
	return out
}

// namesOf are the names of a list's entries; nil where not each has one of its own.
func namesOf(list []any) (names []string) {
	for _, v := range list {
		m, _ := v.(map[string]any)
		name, _ := m["name"].(string)
		if name == "" || slices.Contains(names, name) {
			return nil
		}
		names = append(names, name)
	}
	return names
}

func allEqual(all map[string]any, v any) bool {
	for _, other := range all {
		if !reflect.DeepEqual(other, v) {
			return false
		}
	}
	return true
}

// TestCertificatesChangeSecretsAlone: of a World with another certificate only the
// slot goes out.
func TestCertificatesChangeSecretsAlone(t *testing.T) {
	world := func(chain, ca string) *model.World {
		return model.Build(model.Input{TLS: &model.TLS{ClientCA: ca, Slots: []model.Certificate{{Chain: "x", Key: "x"}, {Name: "a", Chain: chain, Key: "k"}}}})
	}
	c := tlsConfig(func(c *TLS) { c.ClientCerts = true })
	before := world("one", "ca")
	for _, now := range []struct {
		w    *model.World
		want []string
	}{
		{world("one", "ca"), nil}, {world("two", "ca"), []string{"certificate-1"}}, {world("one", "other"), []string{"client-ca"}},
	} {
		d, err := Changes(c, before, now.w)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for name := range d.Secrets {
			names = append(names, name)
		}
		if !cmp.Equal(names, now.want) || len(d.Listeners)+len(d.Routes)+len(d.Clusters)+len(d.Scopes) > 0 {
			t.Errorf("got %v and more, want %v alone: %v", names, now.want, d)
		}
	}
	all, err := worldOf(c, before)
	if err != nil {
		t.Fatal(err)
	}
	again, err := worldOf(c, world("two", "other"))
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range all.Listeners {
		if !proto.Equal(l, again.Listeners[name]) {
			t.Errorf("the listener %s follows certificates", name)
		}
	}
}
