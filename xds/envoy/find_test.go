package envoy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func script(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	b, err := Find("")
	if err != nil {
		t.Fatalf("run `make deps`: %v", err)
	}
	if !strings.HasPrefix(b.Version, "1.") || !filepath.IsAbs(b.Path) || b.Origin == "" {
		t.Errorf("got %+v", b)
	}
}

func TestFindOrder(t *testing.T) {
	fake := func(version string) string {
		return script(t, "#!/bin/sh\necho 'envoy  version: abc/"+version+"/Clean/RELEASE/BoringSSL'\n", 0o755)
	}
	given, env, onPath := fake("1.1.0"), fake("1.2.0"), fake("1.3.0")
	checkout := t.TempDir()
	if err := os.MkdirAll(filepath.Join(checkout, ".deps", "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fake("1.4.0"), filepath.Join(checkout, inCheckout)); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(checkout, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	t.Setenv(PathVariable, env)
	t.Setenv("PATH", filepath.Dir(onPath))
	for _, step := range []struct {
		path, version, origin string
		then                  func()
	}{
		{given, "1.1.0", "configuration", func() {}},
		{"", "1.2.0", "$KONGDAO_ENVOY", func() { t.Setenv(PathVariable, "") }},
		{"", "1.3.0", "PATH", func() { t.Setenv("PATH", t.TempDir()) }},
		{"", "1.4.0", "make deps", func() {}},
	} {
		b, err := Find(step.path)
		if err != nil || b.Version != step.version || b.Origin != step.origin {
			t.Errorf("got %+v, %v; want %s from %s", b, err, step.version, step.origin)
		}
		step.then()
	}
	t.Chdir(t.TempDir())
	_, err := Find("")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "make deps") || !strings.Contains(err.Error(), "Envoy 1.40") {
		t.Errorf("nothing anywhere: %v", err)
	}
}

func TestFindBadPath(t *testing.T) {
	for name, path := range map[string]string{
		"missing":             filepath.Join(t.TempDir(), "nowhere"),
		"a folder":            t.TempDir(),
		"not executable":      script(t, "#!/bin/sh\n", 0o644),
		"not a program":       script(t, "\x00\x01garbage", 0o755),
		"not envoy":           script(t, "#!/bin/sh\necho nginx 1.2\n", 0o755),
		"fails":               script(t, "#!/bin/sh\nexit 3\n", 0o755),
		"a NUL in the middle": "/usr/bin/en\x00voy",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Find(path); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
		})
	}
}
