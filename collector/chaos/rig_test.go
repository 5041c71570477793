package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// rig is a collector process, a ClickHouse process, the proxy between them, and
// the gateway whose calls arrive.
type rig struct {
	t      *testing.T
	random *rand.Rand
	seed   uint64
	events []string

	dir        string
	engine     *embedded.Engine
	stopEngine func()
	kills      int // of this engine
	proxy      *proxy
	life       life
	process    *process
	log        *accessLog
	stream     streamer
	ledger     *ledger

	away    []onDisk       // what was in the log when ClickHouse went away; nil: it did not
	damaged map[damage]int // what tear did
	bad     []string       // start of the name of each range that has to be set aside
}

// newRig starts everything; edit changes what the collector is told.
func newRig(t *testing.T, edit func(*life)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), seed: seed(t), damaged: map[damage]int{}}
	r.random = rand.New(rand.NewPCG(r.seed, 0))
	r.startEngine()
	_, err := schema.Migrate(testkit.Context(t), r.engine.Options())
	testkit.Must(t, err)
	r.proxy = newProxy(t, func() string { return r.engine.Addr() })
	r.life = life{
		Dir: filepath.Join(r.dir, "collector"), AccessLog: filepath.Join(r.dir, "access.log"), Server: r.proxy.addr(),
		WALBytes: 1 << 30, MaxRows: 500, Flush: 80 * time.Millisecond, InsertTimeout: 20 * time.Second,
	}
	if edit != nil {
		edit(&r.life)
	}
	r.log = newAccessLog(t, r.life.AccessLog)
	r.ledger = newLedger(t, r.life.walDir())
	t.Cleanup(r.end)
	r.startCollector()
	return r
}

// seed is of the environment, or new. It makes the same choices again, not the
// same moments.
func seed(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv("KONGDAO_CHAOS_SEED")
	if text == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(text, 10, 64)
	testkit.Must(t, err)
	return n
}

func (r *rig) end() {
	if r.process != nil {
		r.process.kill()
	}
	r.stream.to("")
	if r.t.Failed() {
		log, _ := os.ReadFile(r.logFile()) // may not be there
		lines := strings.Split(string(log), "\n")
		r.t.Logf("KONGDAO_CHAOS_SEED=%d; what happened:\n  %s\nthe collector's last lines:\n  %s", r.seed,
			strings.Join(r.events[max(0, len(r.events)-40):], "\n  "), strings.Join(lines[max(0, len(lines)-400):], "\n  "))
	}
}

func (r *rig) note(format string, args ...any) {
	r.events = append(r.events, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	if testing.Verbose() {
		r.t.Log(r.events[len(r.events)-1])
	}
}

func (r *rig) logFile() string { return filepath.Join(r.dir, "collector.log") }

func (r *rig) startEngine() {
	r.t.Helper()
	r.engine, r.stopEngine = embeddedtest.StartIn(r.t, filepath.Join(r.dir, "clickhouse"))
	r.kills = 0
}

func (r *rig) startCollector() {
	r.t.Helper()
	o := r.engine.Options()
	r.life.User, r.life.Password = o.User, o.Password.Reveal()
	p, err := startProcess(r.life, r.logFile())
	testkit.Must(r.t, err)
	r.process = p
	r.stream.to(p.als)
}

func (r *rig) killCollector() {
	r.process.kill()
	r.note("collector killed")
}

// killEngine ends ClickHouse with SIGKILL; its supervisor starts it again.
func (r *rig) killEngine() {
	r.t.Helper()
	r.kills++
	testkit.Eventually(r.t, "clickhouse runs", func() bool {
		pid := r.engine.PID()
		return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
	})
	r.note("clickhouse killed")
}

func (r *rig) client() *clickhouse.Client {
	r.t.Helper()
	var c *clickhouse.Client
	testkit.Eventually(r.t, "clickhouse answers", func() (ok bool) {
		var err error
		c, err = clickhouse.Open(testkit.Context(r.t), r.engine.Options())
		return err == nil
	})
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// exec runs a statement until it succeeds.
func (r *rig) exec(statement string) {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	var err error
	if !within(patience, func() bool { err = c.Exec(testkit.Context(r.t), statement); return err == nil }) {
		r.t.Fatalf("%s: %v", statement, err)
	}
}

// load lets calls arrive until the lines are written, and returns a func that
// waits for that. Streamed calls go on meanwhile; those that cannot be sent are
// given up, as Envoy does.
func (r *rig) load(lines int) (wait func()) {
	one, two := rand.New(rand.NewPCG(r.random.Uint64(), 1)), rand.New(rand.NewPCG(r.random.Uint64(), 2))
	var writing, streaming sync.WaitGroup
	done := make(chan struct{})
	writing.Go(func() {
		for left := lines; left > 0; {
			n := min(left, 1+one.IntN(200))
			if err := r.log.write(n, one); err != nil {
				r.t.Error(err)
				return
			}
			left -= n
			pace(one)
		}
	})
	streaming.Go(func() {
		for {
			_ = r.stream.send(1 + two.IntN(40)) // lost, unless it is found on disk
			select {
			case <-done:
				return
			default:
				pace(two)
			}
		}
	})
	return func() {
		writing.Wait()
		close(done)
		streaming.Wait()
	}
}

// pace is the time between two writes.
func pace(random *rand.Rand) { <-time.After(time.Duration(1+random.IntN(20)) * time.Millisecond) }

// drained ends the stream and waits until all lines are stored, and everything
// that is on disk. When that does not happen, the check that follows says what is
// missing.
func (r *rig) drained(c *clickhouse.Client) answer {
	r.t.Helper()
	r.stream.finish()
	a, err := r.process.ask("stats")
	r.note("check: clickhouse was started %d times anew; %d calls wait, failing: %v (%v)", r.engine.Restarts(), a.Stats.Unstored, a.Stats.Failing, err)
	drained := func() bool {
		a, err = r.process.ask("drain")
		return err == nil && r.quiet(c)
	}
	for stored := int64(-1); !within(3*patience, drained); stored = a.Stats.Stored {
		if a.Stats.Stored > stored { // a busy machine
			continue
		}
		r.note("nothing more was delivered within %s: %v, %+v", 3*patience, err, a.Stats)
		_ = r.process.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to its log
		_ = r.process.cmd.Wait()
		break
	}
	return a
}

// quiet reports that all lines are stored that can be, and no insert is halfway.
func (r *rig) quiet(c *clickhouse.Client) bool {
	lines := int(r.log.n.Load())
	for k := range r.ledger.lost {
		if !k.stream {
			lines--
		}
	}
	var stored, inserts uint64
	err := c.QueryRow(testkit.Context(r.t), "SELECT uniqExact(request_id) FROM calls WHERE gateway = ?", fileGateway).Scan(&stored)
	if err == nil {
		err = c.QueryRow(testkit.Context(r.t), "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO calls%'").Scan(&inserts)
	}
	return err == nil && stored >= uint64(lines) && inserts == 0
}

// check drains and compares everything. The load must be over.
func (r *rig) check(when string) {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	a := r.drained(c)
	r.note("check: drained")
	r.ledger.look(when)
	wrong := r.ledger.calls(storedCalls(r.t, c), int(r.log.n.Load()), int(r.stream.n.Load()))
	wrong = append(wrong, rollups(r.t, c)...)
	if a.Stats.DeadRows != 0 {
		wrong = append(wrong, fmt.Sprintf("%d calls were refused for good", a.Stats.DeadRows))
	}
	if letters, _ := filepath.Glob(filepath.Join(r.life.deadDir(), "*")); len(letters) != 0 {
		wrong = append(wrong, fmt.Sprintf("refused for good: %v", letters))
	}
	wrong = append(wrong, r.setAside()...)
	if len(wrong) > 0 {
		r.t.Fatalf("%s, %d lines and %d streamed calls: %s", when, r.log.n.Load(), r.stream.n.Load(), shorten(wrong))
	}
}
