package registry

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// opened is a registry over dir that keeps what is in force, as it is after a start:
// the names of its functions, and its problems.
func opened(t *testing.T, dir, kept string) (names string, problems int) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.Kept = dir, kept
	r, err := New(cfg, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	r.remember() // as Run does
	var all []string
	for _, f := range r.Current().Set.Functions {
		all = append(all, f.Name+f.Spec.Routes[0].Path)
	}
	return strings.Join(all, " "), len(r.Current().Problems)
}

// TestABadFileAtTheStart: what was broken or contradicts another while nothing ran is
// as it was before; what is good applies; what was removed is gone.
func TestABadFileAtTheStart(t *testing.T) {
	dir, kept := t.TempDir(), filepath.Join(t.TempDir(), "registry")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(names string, problems bool) {
		t.Helper()
		got, n := opened(t, dir, kept)
		if got != names || (n > 0) != problems {
			t.Fatalf("in force %q with %d problems, want %q", got, n, names)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		write(name, function(name, "/"+name))
	}
	want("a/a b/b c/c", false)
	write("a", "kind: [")
	write("b", function("b", "/b2"))
	if err := os.Remove(filepath.Join(dir, "c.yaml")); err != nil {
		t.Fatal(err)
	}
	want("a/a b/b2", true)
	want("a/a b/b2", true) // it is not lost by a start with it
	write("b", "")
	want("a/a b/b2", true)
	write("a", function("a", "/a3"))
	want("a/a3 b/b2", true)
	write("d", function("a", "/other")) // the name is taken
	want("a/a3 b/b2", true)
	if found, err := filepath.Glob(filepath.Join(kept, "*")); err != nil || len(found) != 3 {
		t.Errorf("the index and two contents, and not %q, %v", found, err)
	}
}

// TestDamageIsNotBelieved: a content or an index that was changed counts as not there.
func TestDamageIsNotBelieved(t *testing.T) {
	dir, kept := t.TempDir(), filepath.Join(t.TempDir(), "registry")
	name := filepath.Join(dir, "a.yaml")
	for _, pattern := range []string{"*.yaml", "index"} {
		if err := os.WriteFile(name, []byte(function("a", "/a")), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _ := opened(t, dir, kept); got != "a/a" {
			t.Fatalf("%q", got)
		}
		if err := os.WriteFile(name, []byte("broken: ["), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(kept, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%q, %v", found, err)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		text[len(text)/2] ^= 0x20
		if err := os.WriteFile(found[0], text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, n := opened(t, dir, kept); got != "" || n == 0 {
			t.Errorf("%s damaged: %q in force, %d problems", pattern, got, n)
		}
	}
}
