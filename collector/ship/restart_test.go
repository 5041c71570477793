package ship

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/kongdao/kongdao/collector/wal"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// The answer to a block was lost when the server ended, and it is sent again after
// its start: the tokens that views derive for their targets must be the same ones.
func TestRepeatedAfterRestartCountsOnce(t *testing.T) {
	dir := t.TempDir()
	engine, stop := embeddedtest.StartIn(t, dir)
	_, err := schema.Migrate(testkit.Context(t), engine.Options())
	testkit.Must(t, err)
	b := benchOn(t, engine.Options())
	first := b.record("w/1", 0, 10)
	b.patiently(func() error { return b.insert(testkit.Context(t), first) })
	b.patiently(func() error { return b.insert(testkit.Context(t), first) })
	b.stored(10)

	stop()
	engine, _ = embeddedtest.StartIn(t, dir)
	b = benchOn(t, engine.Options())
	b.patiently(func() error { return b.insert(testkit.Context(t), first) })
	b.stored(10)
}

func benchOn(t *testing.T, o clickhouse.Options) bench {
	t.Helper()
	client, err := clickhouse.New(o)
	testkit.Must(t, err)
	w, err := wal.Open(wal.Options{Dir: filepath.Join(t.TempDir(), "wal")})
	testkit.Must(t, err)
	cfg := DefaultConfig()
	cfg.DeadLetterDir = filepath.Join(t.TempDir(), "dead")
	s, err := New(cfg, Calls(), w, client, slog.New(slog.DiscardHandler), nil)
	testkit.Must(t, err)
	t.Cleanup(func() {
		testkit.Must(t, s.inserter.Close())
		testkit.Must(t, w.Close())
		testkit.Must(t, client.Close())
	})
	return bench{Shipper: s, t: t, client: client}
}
