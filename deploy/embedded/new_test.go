package embedded_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
)

func TestValidateNamesEveryField(t *testing.T) {
	err := embedded.Config{Address: "0.0.0.0:9000", HTTPAddress: "nowhere"}.Validate()
	for _, field := range []string{"dir: ", "address: 0.0.0.0:9000", "httpAddress: \"nowhere\"", "maxMemoryBytes: "} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not mention %s", err, field)
		}
	}
	ok := embedded.DefaultConfig()
	ok.Dir = "x"
	if err := ok.Validate(); err != nil {
		t.Errorf("the default with a directory: %v", err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	_, stop := embeddedtest.StartIn(t, dir)
	cfg := embedded.DefaultConfig()
	cfg.Dir = dir
	_, err := embedded.New(cfg, quiet(), nil)
	if !errors.Is(err, embedded.ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v, want an error that says in use and by whom", err)
	}
	stop()
	e, err := embedded.New(cfg, quiet(), nil)
	if err != nil {
		t.Fatalf("after the stop: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/nowhere"} {
		cfg := embedded.DefaultConfig()
		cfg.Dir = dir
		if e, err := embedded.New(cfg, quiet(), nil); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v and error %v, want an error that names the directory", dir, e, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := embedded.DefaultConfig()
	cfg.Dir, cfg.HTTPAddress = t.TempDir(), l.Addr().String()
	if _, err := embedded.New(cfg, quiet(), nil); err == nil || !strings.Contains(err.Error(), "httpAddress: ") {
		t.Errorf("got %v, want an error that names the field", err)
	}
	cfg.HTTPAddress = "127.0.0.1:0"
	e, err := embedded.New(cfg, quiet(), nil) // the first one gave the directory back
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestBrokenLibraryEndsRun(t *testing.T) {
	cfg := embedded.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.Library = filepath.Join(t.TempDir(), "libchdb.so")
	if _, err := embedded.New(cfg, quiet(), nil); !errors.Is(err, embedded.ErrNoLibrary) {
		t.Errorf("without a library: %v", err)
	}
	if err := os.WriteFile(cfg.Library, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	e, err := embedded.New(cfg, quiet(), reg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "file too short") {
		t.Errorf("got %v, want the loader's words", err)
	}
	const metrics = `
# HELP kongdao_clickhouse_restarts_total Times that the embedded ClickHouse ended by itself and was started again.
# TYPE kongdao_clickhouse_restarts_total counter
kongdao_clickhouse_restarts_total 4
# HELP kongdao_clickhouse_up Whether the embedded ClickHouse answers: 1 from its first answer until it ends.
# TYPE kongdao_clickhouse_up gauge
kongdao_clickhouse_up 0
`
	err = testutil.GatherAndCompare(reg, strings.NewReader(metrics), "kongdao_clickhouse_restarts_total", "kongdao_clickhouse_up")
	if err != nil {
		t.Error(err)
	}
}

func TestFindLibrary(t *testing.T) {
	t.Run("what the variable names", func(t *testing.T) {
		here := os.Args[0]
		t.Setenv(embedded.LibraryVariable, here)
		if got, err := embedded.FindLibrary(); got != here || err != nil {
			t.Errorf("got %s and %v, want %s", got, err, here)
		}
		t.Setenv(embedded.LibraryVariable, "/nowhere/libchdb.so")
		if _, err := embedded.FindLibrary(); !errors.Is(err, embedded.ErrNoLibrary) || !strings.Contains(err.Error(), "/nowhere/libchdb.so") {
			t.Errorf("got %v, want an error that names the file", err)
		}
	})
	t.Run("nothing anywhere", func(t *testing.T) {
		t.Setenv(embedded.LibraryVariable, "")
		t.Chdir(t.TempDir())
		if got, err := embedded.FindLibrary(); !errors.Is(err, embedded.ErrNoLibrary) || !strings.Contains(err.Error(), "make deps") {
			t.Errorf("got %s and %v, want an error that says what to do", got, err)
		}
	})
}

func TestVersion(t *testing.T) {
	lib, err := embedded.FindLibrary()
	if err != nil {
		t.Fatal(err)
	}
	v, err := embedded.Version(context.Background(), lib)
	if err != nil || !strings.HasPrefix(v, "26.7.") {
		t.Errorf("got %q and %v, want 26.7.…", v, err)
	}
	if v, err := embedded.Version(context.Background(), os.Args[0]); err == nil {
		t.Errorf("a program has version %q", v)
	}
}
