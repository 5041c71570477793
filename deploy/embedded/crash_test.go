package embedded_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// TestKillDuringInserts kills the engine three times while rows are inserted. Each
// row that was acknowledged has to be there, once; of the block in flight all rows
// or none.
func TestKillDuringInserts(t *testing.T) {
	const block, kills = 1000, 3
	e := embeddedtest.Start(t)
	addr := e.Addr()
	c := open(t, e.Options())
	execute(t, c, "CREATE TABLE ack (i UInt64) ENGINE = MergeTree ORDER BY i")
	var next, acked, unknown uint64 // next row to send; rows of acknowledged blocks, of the others
	for e.Restarts() < kills {
		pid := e.PID()
		for sent := 0; ; sent++ {
			if sent == 20 {
				go syscall.Kill(pid, syscall.SIGKILL) // beside the inserts that follow, which see it
			}
			if insert(c, next, block) != nil {
				unknown += block
				next += block
				break
			}
			acked += block
			next += block
		}
		testkit.Eventually(t, "the engine is back", func() bool {
			now := e.PID()
			return now != 0 && now != pid && c.Ping(context.Background()) == nil
		})
	}
	stored := number(t, c, "SELECT count() FROM ack")
	distinct := number(t, c, "SELECT uniqExact(i) FROM ack")
	if stored != distinct || stored < acked || stored > acked+unknown || stored%block != 0 {
		t.Errorf("acknowledged %d rows and %d more sent; found %d, %d of them distinct", acked, unknown, stored, distinct)
	}
	if acked < kills*20*block {
		t.Errorf("only %d rows were acknowledged: the engine was not killed during inserts", acked)
	}
	if e.Addr() != addr {
		t.Errorf("the engine moved from %s to %s", addr, e.Addr())
	}
}

func insert(c *clickhouse.Client, from, rows uint64) error {
	b, err := c.PrepareBatch(context.Background(), "INSERT INTO ack")
	if err != nil {
		return err
	}
	for i := from; i < from+rows; i++ {
		if err := b.Append(i); err != nil {
			return err
		}
	}
	return b.Send()
}

// TestHostileClients does what ends this engine. It has to be back with its rows,
// for clients that only reconnect.
func TestHostileClients(t *testing.T) {
	e := embeddedtest.Start(t)
	c := open(t, e.Options())
	execute(t, c, "CREATE TABLE kept (i UInt64) ENGINE = MergeTree ORDER BY i")
	wrongPassword, wrongDatabase := e.Options(), e.Options()
	wrongPassword.Password = "wrong"
	wrongDatabase.Database = "nowhere"
	for i, h := range []struct {
		name string
		act  func(*testing.T)
	}{
		{"wrong password", func(t *testing.T) { refused(t, wrongPassword) }},
		{"unknown database", func(t *testing.T) { refused(t, wrongDatabase) }},
		{"noise on the native port", func(t *testing.T) { send(t, e.Addr(), "\x07\xff\xfe\x00noise noise") }},
	} {
		t.Run(h.name, func(t *testing.T) {
			execute(t, c, "INSERT INTO kept VALUES (1)")
			pid := e.PID()
			h.act(t)
			// Should this hang, a newer library survives it: good news for doc.go.
			testkit.Eventually(t, "the end of the engine", func() bool { return e.PID() != pid })
			begin := time.Now()
			testkit.Eventually(t, "an answer", func() bool { return c.Ping(context.Background()) == nil })
			t.Logf("answered again %v after its end", time.Since(begin))
			if n := number(t, c, "SELECT count() FROM kept"); n != uint64(i+1) {
				t.Errorf("found %d rows, want %d", n, i+1)
			}
		})
	}
}

func refused(t *testing.T, o clickhouse.Options) {
	t.Helper()
	if err := open(t, o).Ping(context.Background()); err == nil {
		t.Error("the login was accepted")
	}
}

// send writes noise and hangs up, when the other side has or after it has read it.
func send(t *testing.T, addr, noise string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(noise)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // a reset is a way to hang up
}

// TestLostPort takes the engine's port while the engine is down: it moves, and its
// clients find it.
func TestLostPort(t *testing.T) {
	e := embeddedtest.Start(t)
	c := open(t, e.Options())
	was := e.Addr()
	stolen := make(chan net.Listener)
	go func() {
		for { // fails for as long as the engine has it
			if l, err := net.Listen("tcp", was); err == nil {
				stolen <- l
				return
			}
		}
	}()
	kill(t, e.PID())
	l := <-stolen
	defer l.Close()
	testkit.Eventually(t, "an answer on another port", func() bool { return c.Ping(context.Background()) == nil })
	if e.Addr() == was {
		t.Errorf("the engine still claims %s", was)
	}
}

// parentVariable makes TestParent the parent that dies.
const parentVariable = "KONGDAO_TEST_PARENT_DIR"

// TestParent is no test of its own: it runs in the process that TestChildDiesWithItsParent starts.
func TestParent(t *testing.T) {
	dir := os.Getenv(parentVariable)
	if dir == "" {
		return
	}
	e, _ := embeddedtest.StartIn(t, dir)
	if err := os.WriteFile(dir+"/pid.tmp", []byte(strconv.Itoa(e.PID())), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/pid.tmp", dir+"/pid"); err != nil {
		t.Fatal(err)
	}
	select {} // until killed
}

func TestChildDiesWithItsParent(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "-test.run=^TestParent$")
	parent.Env = append(os.Environ(), parentVariable+"="+dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- parent.Wait() }()
	var child int
	testkit.Eventually(t, "the engine of the other process", func() bool {
		text, err := os.ReadFile(dir + "/pid")
		if err != nil {
			return false
		}
		child, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	if !running(child) {
		t.Fatalf("engine %d does not run", child)
	}
	kill(t, parent.Process.Pid)
	if err := <-ended; err == nil {
		t.Error("the parent ended by itself")
	}
	testkit.Eventually(t, "the end of an engine without a parent", func() bool { return !running(child) })
	embeddedtest.StartIn(t, dir) // the directory is free again
}

func TestStopWhileStarting(t *testing.T) {
	cfg := embedded.DefaultConfig()
	cfg.Dir = t.TempDir()
	e, err := embedded.New(cfg, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	var pid int
	testkit.Eventually(t, "a process", func() bool { pid = e.PID(); return pid != 0 })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if running(pid) {
		t.Errorf("process %d is still there", pid)
	}
}
