package collector

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kongdao/kongdao/collector/filelog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// Several gateways, one of which comes later: each call is stored once, under the
// name of its gateway, over a restart too.
func TestManyFiles(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	cfg := testConfig(dir, filepath.Join(dir, "access.log"))
	cfg.Files = []File{{Path: filepath.Join(dir, "*", "calls.log"), Zone: "zb-b"}, {Path: filepath.Join(dir, "edge.log")}}
	n := 0
	write := func(name string, lines int) {
		t.Helper()
		path := filepath.Join(dir, name)
		testkit.Must(t, os.MkdirAll(filepath.Dir(path), 0o750))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		testkit.Must(t, err)
		defer f.Close()
		for range lines {
			_, err := f.WriteString(line(n))
			testkit.Must(t, err)
			n++
		}
	}
	write("access.log", 10)
	write("gw-a/calls.log", 20)
	c := start(t, cfg, engine.Options())
	testkit.Eventually(t, "the first are read", func() bool { return c.Stats().Read == 30 })
	write("gw-b/calls.log", 40) // its folder was not there
	testkit.Eventually(t, "the new one is read", func() bool { return c.Stats().Read == 70 })
	c.stop()
	write("gw-b/calls.log", 1)
	write("gw-c/calls.log", 2)
	write("edge.log", 80)
	c = start(t, cfg, engine.Options())
	c.allStored(engine.Options(), n)
	client := open(t, engine.Options())
	got, err := client.Query(testkit.Context(t), "SELECT gateway, any(gateway_zone), count() FROM calls GROUP BY gateway ORDER BY gateway")
	testkit.Must(t, err)
	defer got.Close()
	var table strings.Builder
	for got.Next() {
		var gateway, zone string
		var rows uint64
		testkit.Must(t, got.Scan(&gateway, &zone, &rows))
		fmt.Fprintln(&table, gateway, zone, rows)
	}
	testkit.Must(t, got.Err())
	if want := "edge  80\ngw-1 zb-a 10\ngw-a zb-b 20\ngw-b zb-b 41\ngw-c zb-b 2\n"; table.String() != want {
		t.Errorf("got\n%swant\n%s", table.String(), want)
	}
}

func TestAdminReopens(t *testing.T) {
	var asked atomic.Int64
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/reopen_logs" && asked.Add(1) > 1 {
			return
		}
		http.Error(w, "not yet", http.StatusServiceUnavailable)
	}))
	defer admin.Close()
	s := File{Path: "/x/edge-1.log", Admin: admin.Listener.Addr().String()}.source()
	if s.Gateway != "edge-1" {
		t.Errorf("gateway %q", s.Gateway)
	}
	if err := s.Reopen(context.Background()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("refused: %v", err)
	}
	testkit.Must(t, s.Reopen(context.Background()))
}

func TestFilesAreValidated(t *testing.T) {
	cfg := testConfig(t.TempDir(), "")
	cfg.Gateway = ""
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no log at all", func(*Config) {}, "accessLog"},
		{"without path", func(c *Config) { c.Files = []File{{}} }, "files[0].path"},
		{"admin is no address", func(c *Config) { c.Files = []File{{Path: "a", Admin: "x"}} }, "files[0].admin"},
		{"admin for a pattern", func(c *Config) { c.Files = []File{{Path: "*.log", Admin: "127.0.0.1:1"}} }, "globs[0]"},
		{"twice", func(c *Config) { c.Files = []File{{Path: "a"}, {Path: "a"}} }, "is there twice"},
		{"budget below two files", func(c *Config) { c.Files = []File{{Path: "a"}}; c.FileBytes = 1 }, "fileBytes"},
		{"overflow", func(c *Config) { c.Files = []File{{Path: "a"}}; c.FileOverflow = "x" }, "verflow"},
		{"files alone", func(c *Config) { c.Files = []File{{Path: "a"}} }, ""},
	} {
		c := cfg
		tt.change(&c)
		err := c.Validate()
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if o := DefaultConfig().FileOverflow; o != filelog.Keep {
		t.Errorf("%s", o)
	}
}
