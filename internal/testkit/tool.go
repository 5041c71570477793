package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Tool is the path of a program that make deps gets for tests alone, such as promtool.
// A test that needs one is skipped where it is missing: not every machine has the
// packages.
func Tool(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	dir, err := os.Getwd()
	Must(t, err)
	for ; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".deps", "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	t.Skipf("there is no %s: it is not on PATH, and make deps found no apt-get to get it with", name)
	return ""
}
