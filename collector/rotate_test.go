package collector

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/kongdao/kongdao/internal/testkit"
)

// The file is rotated while it is written and while the collector is restarted;
// what is stored is removed.
func TestRotationLosesNothing(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	var mu sync.Mutex // the gateway's: writes or opens anew
	cfg := testConfig(dir, lines.path)
	cfg.RotateBytes = 50_000
	reopened := 0
	cfg.Reopen = func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(lines.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		testkit.Must(t, lines.file.Close())
		lines.file = f
		reopened++
		return nil
	}
	write := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		lines.write(n)
	}
	for range 3 {
		c := start(t, cfg, engine.Options())
		for range 20 {
			write(100)
			testkit.Eventually(t, "calls are read", func() bool { return c.Stats().Read > 0 })
		}
		c.stop()
	}
	c := start(t, cfg, engine.Options())
	testkit.Eventually(t, "rotated files are removed", func() bool {
		write(1)
		files, err := filepath.Glob(lines.path + ".*")
		testkit.Must(t, err)
		mu.Lock()
		defer mu.Unlock()
		return reopened > 1 && len(files) == 0
	})
	c.allStored(engine.Options(), lines.n)
}
