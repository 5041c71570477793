package ship

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/kongdao/kongdao/collector/wal"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// rig is a log, a shipper that runs, and a client.
type rig struct {
	t       *testing.T
	wal     *wal.Log
	client  *clickhouse.Client
	shipper *Shipper
	dead    string
	stop    func()
}

func newRig(t *testing.T, engine *embedded.Engine, edit func(*Config)) *rig {
	t.Helper()
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.DeadLetterDir = filepath.Join(dir, "dead")
	if edit != nil {
		edit(&cfg)
	}
	w, err := wal.Open(wal.Options{Dir: filepath.Join(dir, "wal")})
	testkit.Must(t, err)
	client, err := clickhouse.New(engine.Options())
	testkit.Must(t, err)
	s, err := New(cfg, Calls(), w, client, slog.New(slog.DiscardHandler), nil)
	testkit.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r := &rig{t: t, wal: w, client: client, shipper: s, dead: cfg.DeadLetterDir}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		testkit.Must(t, <-done)
	}
	t.Cleanup(func() {
		r.stop()
		testkit.Must(t, w.Close())
		testkit.Must(t, client.Close())
	})
	return r
}

// put appends a block of n calls, numbered from from.
func (r *rig) put(from, n int) uint64 {
	r.t.Helper()
	b := calllog.NewBlock()
	for i := from; i < from+n; i++ {
		var c calllog.Record
		c.Reset()
		c.Time = time.Now().UnixMicro()
		c.Path = fmt.Appendf(nil, "/%d", i)
		b.Append(&c)
	}
	data, err := b.Encode(nil)
	testkit.Must(r.t, err)
	return r.putBytes(data, n)
}

func (r *rig) putBytes(data []byte, rows int) uint64 {
	r.t.Helper()
	seq, err := r.wal.Append(testkit.Context(r.t), wal.Entry{
		Rows: rows, MinTime: time.Now(), MaxTime: time.Now(), Revision: calllog.Revision, Block: data,
	})
	testkit.Must(r.t, err)
	return seq
}

func (r *rig) count() (n uint64) {
	r.t.Helper()
	testkit.Must(r.t, r.client.QueryRow(testkit.Context(r.t), "SELECT uniqExact(path) FROM calls").Scan(&n))
	return n
}

func (r *rig) eventually(what string, cond func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); {
		if time.Now().After(end) {
			r.t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestTableComesLater(t *testing.T) {
	engine := embeddedtest.Start(t)
	r := newRig(t, engine, nil)
	seq := r.put(0, 100)
	r.eventually("delivery fails", r.shipper.Failing)
	_, err := schema.Migrate(testkit.Context(t), engine.Options())
	testkit.Must(t, err)
	testkit.Must(t, r.wal.WaitAcked(testkit.Context(t), seq))
	if r.count() != 100 || r.shipper.Rows() != 100 || r.shipper.Failing() || r.shipper.DeadRows() != 0 {
		t.Fatalf("%d rows, %d stored, %d dead", r.count(), r.shipper.Rows(), r.shipper.DeadRows())
	}
}

func TestUnreadableBlockIsSetAside(t *testing.T) {
	engine := embeddedtest.Start(t)
	_, err := schema.Migrate(testkit.Context(t), engine.Options())
	testkit.Must(t, err)
	r := newRig(t, engine, nil)
	r.put(0, 10)
	r.putBytes([]byte("no block"), 5)
	testkit.Must(t, r.wal.WaitAcked(testkit.Context(t), r.put(10, 10)))
	if r.count() != 20 || r.shipper.DeadRows() != 5 {
		t.Fatalf("%d rows, %d dead", r.count(), r.shipper.DeadRows())
	}
	kept, err := os.ReadFile(filepath.Join(r.dead, r.wal.Writer()+"-2.block"))
	testkit.Must(t, err)
	if string(kept) != "no block" {
		t.Errorf("kept %q", kept)
	}
}

// A table that lacks a column refuses every block; once the folder for them is
// full, the rest waits in the log.
func TestFullDeadLetterFolderLosesNothing(t *testing.T) {
	engine := embeddedtest.Start(t)
	_, err := schema.Migrate(testkit.Context(t), engine.Options())
	testkit.Must(t, err)
	client, err := clickhouse.Open(testkit.Context(t), engine.Options())
	testkit.Must(t, err)
	testkit.Must(t, client.Exec(testkit.Context(t), "ALTER TABLE calls DROP COLUMN user_agent"))
	testkit.Must(t, client.Close())
	r := newRig(t, engine, func(c *Config) { c.Parallel, c.DeadLetterBytes = 1, 3000 })
	const blocks = 10
	for i := range blocks {
		r.put(i*10, 10)
	}
	r.eventually("the folder is full", r.shipper.Failing)
	r.stop()
	dead := r.shipper.DeadRows()
	if left := r.wal.Stats().Rows; dead == 0 || dead == blocks*10 || left+dead != blocks*10 {
		t.Fatalf("%d dead, %d left in the log", dead, left)
	}
	letter, err := os.ReadFile(filepath.Join(r.dead, r.wal.Writer()+"-1.json"))
	testkit.Must(t, err)
	if !strings.Contains(string(letter), "user_agent") {
		t.Errorf("letter does not name the column: %s", letter)
	}
}

func TestPermanent(t *testing.T) {
	code := func(c proto.Error) error { return fmt.Errorf("insert: %w", &ch.Exception{Code: int32(c)}) }
	for _, test := range []struct {
		err  error
		want bool
		why  string
	}{
		{code(proto.ErrNoSuchColumnInTable), true, "another try finds no other table"},
		{code(proto.ErrTypeMismatch), true, "types stay"},
		{code(proto.ErrViolatedConstraint), true, "rows stay"},
		{fmt.Errorf("%w: x", errBlock), true, "cannot be read"},
		{code(proto.ErrMemoryLimitExceeded), false, "memory comes back"},
		{code(proto.ErrUnknownTable), false, "a migration makes it"},
		{code(proto.ErrTooManyParts), false, "merges catch up"},
		{code(proto.ErrAuthenticationFailed), false, "the password can be corrected"},
		{code(proto.ErrTimeoutExceeded), false, "load passes"},
		{context.DeadlineExceeded, false, "nobody knows whether it was stored"},
		{errors.New("connection refused"), false, "the server comes back"},
	} {
		if got := permanent(test.err); got != test.want {
			t.Errorf("%v: %t, want %t: %s", test.err, got, test.want, test.why)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	err := Config{DrainTimeout: -1, DeadLetterBytes: -1}.Validate()
	for _, field := range []string{"parallel", "insertTimeout", "drainTimeout", "deadLetterDir", "deadLetterBytes"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}
