package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLocate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kongdao.yaml")
	if err := os.WriteFile(file, []byte("log: {level: warn}\nlisten:\n  xds: 127.0.0.1:0\n  api: 127.0.0.1:9080\nclickhouse: {dsn: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for field, line := range map[string]int{"listen.api": 4, "clickhouse.dsn": 5, "listen.gateway": 2, "dataDir": 1} {
		if got := Locate(file, field); got.Line != line || got.File != file {
			t.Errorf("%s is at %s, want line %d", field, got, line)
		}
	}
	if got := Locate(file+"x", "dataDir").String(); got != file+"x" {
		t.Errorf("a file that is gone: %s", got)
	}
}

func TestFixed(t *testing.T) {
	l := Default().Listen
	l.XDS = "10.1.2.3:18000"
	want := map[string]string{"listen.gateway": "127.0.0.1:9000", "listen.api": "127.0.0.1:9080", "listen.xds": "10.1.2.3:18000"}
	if diff := cmp.Diff(want, maps.Collect(l.Fixed())); diff != "" {
		t.Errorf("addresses that were chosen (-want +got):\n%s", diff)
	}
}

func TestFieldError(t *testing.T) {
	cause := errors.New("in use")
	err := error(&FieldError{Field: "listen.api", Err: cause})
	if err.Error() != "listen.api: in use" || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}
