package envoy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// PathVariable is the environment variable that names the Envoy binary.
const PathVariable = "KONGDAO_ENVOY"

// inCheckout is where `make deps` puts Envoy, seen from the checkout's root.
const inCheckout = ".deps/bin/envoy"

// ErrNotFound means that there is no usable Envoy; the wrapping error says what
// to do.
var ErrNotFound = errors.New("no usable envoy")

// Binary is an Envoy that can be started.
type Binary struct {
	Path    string `json:"path"`    // absolute
	Version string `json:"version"` // such as 1.40.0
	Origin  string `json:"origin"`  // who named it: "configuration", "$KONGDAO_ENVOY", "PATH", "make deps"
}

// Find looks for Envoy: the given path when it is not empty, else $KONGDAO_ENVOY,
// else `envoy` on PATH, else .deps/bin/envoy beside the executable's folder or
// above the working directory. A path that somebody named is never passed over:
// when it does not work, that is the error. Errors wrap [ErrNotFound].
func Find(path string) (Binary, error) {
	if path != "" {
		return inspect(path, "configuration")
	}
	if path = os.Getenv(PathVariable); path != "" {
		return inspect(path, "$"+PathVariable)
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return inspect(path, "PATH")
	}
	for _, dir := range checkouts() {
		path := filepath.Join(dir, inCheckout)
		if _, err := os.Stat(path); err == nil {
			return inspect(path, "make deps")
		}
	}
	return Binary{}, fmt.Errorf("%w: run `make deps`, put Envoy 1.40 on PATH, or name it in $%s", ErrNotFound, PathVariable)
}

// checkouts lists the folders that may be the root of a checkout, nearest first.
func checkouts() []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(filepath.Dir(exe)))
	}
	wd, err := os.Getwd()
	if err != nil {
		return dirs
	}
	for ; ; wd = filepath.Dir(wd) {
		dirs = append(dirs, wd)
		if wd == filepath.Dir(wd) {
			return dirs
		}
	}
}

// inspect asks the binary for its version, which also shows that it runs here.
func inspect(path, origin string) (Binary, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, fmt.Errorf("%w: %s (from %s): %w", ErrNotFound, path, origin, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, abs, "--version").Output()
	if err != nil {
		return Binary{}, fmt.Errorf("%w: %s (from %s): %w; run `make deps` or install Envoy 1.40", ErrNotFound, abs, origin, err)
	}
	version, err := parseVersion(string(out))
	if err != nil {
		return Binary{}, fmt.Errorf("%w: %s (from %s): %w", ErrNotFound, abs, origin, err)
	}
	return Binary{Path: abs, Version: version, Origin: origin}, nil
}

// parseVersion reads "… version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL".
func parseVersion(out string) (string, error) {
	_, build, ok := strings.Cut(out, "version: ")
	fields := strings.Split(strings.TrimSpace(build), "/")
	if !ok || len(fields) < 2 {
		return "", fmt.Errorf("`--version` printed %.80q, which is not Envoy's", strings.TrimSpace(out))
	}
	return fields[1], nil
}
