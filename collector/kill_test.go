package collector

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// childEnv makes the test binary a collector that is killed: folder, access log,
// ClickHouse's address, password and user, and Envoy's administration, if it is to
// rotate, follow in childEnv_1 to _6.
const (
	childEnv    = "COLLECTOR_TEST_CHILD"
	childRotate = 70_000
)

func collectUntilKilled() int {
	arg := func(n int) string { return os.Getenv(fmt.Sprintf("%s_%d", childEnv, n)) }
	cfg := testConfig(arg(1), arg(2))
	cfg.MaxRows = 200
	cfg.FlushInterval = api.Duration(time.Millisecond)
	if admin := arg(6); admin != "" {
		cfg.RotateBytes, cfg.FileBytes = childRotate, 0
		cfg.Reopen = func(ctx context.Context) error { return reopenLogs(ctx, admin) }
	}
	o := clickhouse.Options{Addr: []string{arg(3)}, User: arg(5), Password: api.Secret(arg(4))}
	c, err := New(cfg, o, slog.New(slog.NewTextHandler(os.Stderr, nil)), nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	if err := c.Run(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestKilledCollector(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	lines.write(5000)
	o := engine.Options()
	for range 8 {
		cmd := child(t, dir, lines.path, engine, "")
		lines.write(1000)
		enough := uint64(lines.n - rand.IntN(1500))
		testkit.Eventually(t, "child stores rows", func() bool {
			n, ok := rows(t, o)
			return ok && n >= enough
		})
		killed(t, cmd)
	}
	cfg := testConfig(dir, lines.path)
	c := start(t, cfg, o)
	c.allStored(o, lines.n)
}
