package collector

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// childEnv makes the test binary a collector that is killed: folder, access log,
// ClickHouse's address and password follow in childEnv_1 to _4.
const childEnv = "COLLECTOR_TEST_CHILD"

func collectUntilKilled() int {
	arg := func(n int) string { return os.Getenv(fmt.Sprintf("%s_%d", childEnv, n)) }
	cfg := testConfig(arg(1), arg(2))
	cfg.MaxRows = 200
	cfg.FlushInterval = api.Duration(time.Millisecond)
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
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=1")
		for i, v := range []string{dir, lines.path, engine.Addr(), o.Password.Reveal(), o.User} {
			cmd.Env = append(cmd.Env, fmt.Sprintf("%s_%d=%s", childEnv, i+1, v))
		}
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		said := bufio.NewScanner(out)
		if !said.Scan() || said.Text() != "ready" {
			t.Fatalf("child: %s", said.Text())
		}
		lines.write(1000)
		enough := uint64(lines.n - rand.IntN(1500))
		eventually(t, "child stores rows", func() bool {
			n, ok := rows(t, o)
			return ok && n >= enough
		})
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	cfg := testConfig(dir, lines.path)
	c := start(t, cfg, o)
	c.allStored(o, lines.n)
}
