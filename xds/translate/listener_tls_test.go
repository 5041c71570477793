package translate

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
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

// TestListenersTLS compares listeners and secrets with testdata/tls/*.json.
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
			r, err := World(tlsConfig(alter), w)
			if err != nil {
				t.Fatal(err)
			}
			check(t, r.Listeners)
			check(t, r.Secrets)
			got, err := json.MarshalIndent(map[string]any{"listeners": tree(t, r.Listeners), "secrets": tree(t, r.Secrets)}, "", "  ")
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
	all, err := World(c, before)
	if err != nil {
		t.Fatal(err)
	}
	again, err := World(c, world("two", "other"))
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range all.Listeners {
		if !proto.Equal(l, again.Listeners[name]) {
			t.Errorf("the listener %s follows certificates", name)
		}
	}
}
