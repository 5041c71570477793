package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// LibraryVariable is the environment variable that names libchdb.so.
const LibraryVariable = "KONGDAO_LIBCHDB"

// library is where make deps puts it, below the checkout.
const library = ".deps/clickhouse/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"

// ErrNoLibrary is what FindLibrary's error is when there is nothing to find.
var ErrNoLibrary = errors.New("embedded clickhouse: libchdb.so not found")

// FindLibrary is the absolute path of libchdb.so: $KONGDAO_LIBCHDB, else where
// make deps puts it, seen from the folder above the executable's or from the
// working directory or a folder above it. The error says what to do.
func FindLibrary() (string, error) {
	if p := os.Getenv(LibraryVariable); p != "" {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("%w: %s=%s: %w", ErrNoLibrary, LibraryVariable, p, err)
		}
		return filepath.Abs(p)
	}
	for _, dir := range places() {
		p := filepath.Join(dir, library)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: run make deps, or set %s to its path, or use a clickhouse server by its dsn", ErrNoLibrary, LibraryVariable)
}

func places() []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(filepath.Dir(exe)))
	}
	wd, err := os.Getwd()
	if err != nil {
		return dirs
	}
	for dirs = append(dirs, wd); wd != filepath.Dir(wd); {
		wd = filepath.Dir(wd)
		dirs = append(dirs, wd)
	}
	return dirs
}

// Version loads the library at path in a child and asks for the engine's version.
// It fails where an engine would: a missing library, another platform.
func Version(ctx context.Context, path string) (string, error) {
	exe, err := executable()
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, exe, childArgument, versionArgument, path)
	cmd.Env = childEnvironment()
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("load %s: %w: %s", path, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
