package ship

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/kongdao/kongdao/collector/wal"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// bench is a shipper that does not run: tests drive it block by block.
type bench struct {
	*Shipper
	t      *testing.T
	client *clickhouse.Client
}

// forgetful is a bench on an engine whose tables remember two blocks.
func forgetful(t *testing.T) bench {
	t.Helper()
	b := remembering(t)
	for _, table := range append([]string{"calls"}, rollups()...) {
		testkit.Must(t, b.client.Exec(testkit.Context(t), "ALTER TABLE "+table+" MODIFY SETTING non_replicated_deduplication_window = 2"))
	}
	return b
}

// remembering is a bench on an engine whose tables remember as many blocks as ours do.
func remembering(t *testing.T) bench {
	t.Helper()
	engine := embeddedtest.Start(t)
	_, err := schema.Migrate(testkit.Context(t), engine.Options())
	testkit.Must(t, err)
	return benchOn(t, engine.Options())
}

func rollups() (names []string) {
	for _, r := range schema.Rollups() {
		names = append(names, r.Name)
	}
	return names
}

// record is a block of calls numbered from from, on two days and so in two parts.
func (b bench) record(token string, from, n int) wal.Record {
	b.t.Helper()
	block := calllog.NewBlock()
	now := time.Now()
	for i := from; i < from+n; i++ {
		var c calllog.Record
		c.Reset()
		c.Time = now.Add(-time.Duration(i%2) * 24 * time.Hour).UnixMicro()
		c.RequestID = uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i))
		c.DurationUS = uint32(i)
		c.Path = fmt.Appendf(nil, "/%d", i)
		block.Append(&c)
	}
	piece, err := pieceOf(block)
	testkit.Must(b.t, err)
	return wal.Record{
		Entry: wal.Entry{Rows: n, MinTime: now.Add(-24 * time.Hour), MaxTime: now, Revision: calllog.Revision, Block: piece.Block},
		Token: token,
	}
}

// send delivers the record; again says that it may have been sent before.
func (b bench) send(rec wal.Record, again bool) {
	b.t.Helper()
	rec.Again = again
	d := &delivery{left: []wal.Record{rec}, begun: time.Now()}
	b.patiently(func() error { return b.settle(testkit.Context(b.t), d) })
}

// found is what a check of the record finds.
func (b bench) found(rec wal.Record) finding {
	b.t.Helper()
	var f finding
	b.patiently(func() (err error) {
		f, _, err = b.judge(testkit.Context(b.t), rec)
		return err
	})
	return f
}

// patiently tries again as long as an insert before still runs.
func (b bench) patiently(try func() error) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	busy := func(err error) bool {
		return errors.Is(err, errStillRuns) || clickhouse.Code(err) == int32(proto.ErrQueryWithSameIDIsAlreadyRunning)
	}
	err := try()
	for deadline := time.Now().Add(30 * time.Second); busy(err) && time.Now().Before(deadline); err = try() {
		<-tick.C
	}
	testkit.Must(b.t, err)
}

// stored wants calls 0 to n-1, each once, in the table and in every rollup.
func (b bench) stored(n uint64) {
	b.t.Helper()
	var rows, different uint64
	testkit.Must(b.t, b.client.QueryRow(testkit.Context(b.t), "SELECT count(), uniqExact(path) FROM calls").Scan(&rows, &different))
	if rows != n || different != n {
		b.t.Errorf("%d rows of %d calls, want %d of each", rows, different, n)
	}
	for _, table := range rollups() {
		var calls uint64
		testkit.Must(b.t, b.client.QueryRow(testkit.Context(b.t), "SELECT sum(calls) FROM "+table).Scan(&calls))
		if calls != n {
			b.t.Errorf("%s: %d calls, want %d", table, calls, n)
		}
	}
}

// Blocks are sent again, many and in any order, while their tokens are remembered.
func TestRememberedBlocksCountOnce(t *testing.T) {
	b := remembering(t)
	var all []wal.Record
	for i := range 20 {
		all = append(all, b.record(fmt.Sprintf("w/%d", i+1), i*200, 200))
	}
	for _, again := range []bool{false, true, false} {
		for _, rec := range all {
			b.send(rec, again)
		}
	}
	b.stored(4000)
}

// The answer to a block was lost, and it is sent again when the tables have
// forgotten it.
func TestForgottenBlockCountsOnce(t *testing.T) {
	b := forgetful(t)
	first := b.record("w/1", 0, 10)
	b.send(first, false)
	if f := b.found(first); f == findingAbsent {
		t.Errorf("a block that was just stored is %s", f)
	}
	for i := 1; i <= 4; i++ {
		b.send(b.record(fmt.Sprintf("w/%d", i+1), i*10, 10), false)
	}
	if f := b.found(first); f != findingStored {
		t.Errorf("a forgotten block is %s", f)
	}
	b.send(first, true)
	b.stored(50)

	fresh := b.record("w/6", 50, 10)
	b.send(fresh, true)
	b.stored(60)

	// What the ledger is for: without it the block counts twice.
	b.send(first, false)
	var rows uint64
	testkit.Must(t, b.client.QueryRow(testkit.Context(t), "SELECT count() FROM calls").Scan(&rows))
	if rows != 70 {
		t.Errorf("%d rows; the tables were to have forgotten the first block", rows)
	}
}

// The server died after it stored one of the block's two parts, before it wrote
// the ledger, and the block is sent again when that is forgotten.
func TestForgottenHalfIsCompleted(t *testing.T) {
	b := forgetful(t)
	whole := b.record("w/1", 0, 10)
	testkit.Must(t, b.client.Exec(testkit.Context(t), "DETACH TABLE stored_blocks_from_calls"))
	odd := b.record("w/1", 0, 10)
	odd.Block = b.only(whole.Block, func(r *calllog.Record) bool { return r.DurationUS%2 == 1 })
	odd.Rows = 5
	b.send(odd, false)
	testkit.Must(t, b.client.Exec(testkit.Context(t), "ATTACH TABLE stored_blocks_from_calls"))
	for i := 1; i <= 4; i++ {
		b.send(b.record(fmt.Sprintf("w/%d", i+1), i*10, 10), false)
	}
	whole.MaxTime = whole.MaxTime.Add(-time.Hour) // long ago
	if f := b.found(whole); f != findingPart {
		t.Errorf("half a block is %s", f)
	}
	b.send(whole, true)
	b.stored(50)
	if f := b.found(whole); f != findingStored {
		t.Errorf("the completed block is %s", f)
	}
	b.send(whole, true)
	b.stored(50)
}

// only is the block's rows that keep chooses.
func (b bench) only(block []byte, keep func(*calllog.Record) bool) []byte {
	b.t.Helper()
	all, err := calllog.DecodeBlock(block)
	testkit.Must(b.t, err)
	kept := calllog.NewBlock()
	all.Each(func(r *calllog.Record) {
		if keep(r) {
			kept.Append(r)
		}
	})
	piece, err := pieceOf(kept)
	testkit.Must(b.t, err)
	return piece.Block
}

// One bad row of many is a dead letter; the others are stored.
func TestBadRowsAreFound(t *testing.T) {
	b := forgetful(t)
	testkit.Must(t, b.client.Exec(testkit.Context(t), "ALTER TABLE calls ADD CONSTRAINT fast CHECK duration_us NOT IN (20, 71)"))
	rec := b.record("w/1", 0, 100)
	b.send(rec, false)
	letters, err := ReadDeadLetters(b.cfg.DeadLetterDir)
	testkit.Must(t, err)
	var tokens []string
	for _, l := range letters {
		tokens = append(tokens, l.Token)
	}
	if len(letters) != 2 || b.DeadRows() != 2 || b.Rows() != 98 {
		t.Errorf("dead letters %q, %d dead rows, %d stored", tokens, b.DeadRows(), b.Rows())
	}
	// A crash before the block was acknowledged: it is sent again, also when the
	// constraint is gone by then.
	testkit.Must(t, b.client.Exec(testkit.Context(t), "ALTER TABLE calls DROP CONSTRAINT fast"))
	b.send(rec, true)
	b.stored(100)
}

// A rollup refuses what the table took: halves with tokens of their own would be
// stored once more.
func TestBlockThatTheTableTookIsNotSplit(t *testing.T) {
	b := forgetful(t)
	testkit.Must(t, b.client.Exec(testkit.Context(t), "ALTER TABLE calls_1m ADD CONSTRAINT none CHECK calls = 0"))
	b.send(b.record("w/1", 0, 10), false)
	letters, err := ReadDeadLetters(b.cfg.DeadLetterDir)
	testkit.Must(t, err)
	var rows uint64
	testkit.Must(t, b.client.QueryRow(testkit.Context(t), "SELECT count() FROM calls").Scan(&rows))
	if len(letters) != 1 || letters[0].Token != "w/1" || rows != 10 {
		t.Errorf("%d rows, letters %+v", rows, letters)
	}
	// It can be sent again with its own token, and completes the rollups.
	testkit.Must(t, b.client.Exec(testkit.Context(t), "ALTER TABLE calls_1m DROP CONSTRAINT none"))
	rec, err := letters[0].Record()
	testkit.Must(t, err)
	b.send(rec, true)
	b.stored(10)
}

func TestPiecesAreEqual(t *testing.T) {
	b := bench{t: t}
	rec := b.record("w/1", 0, 7)
	for range 2 {
		first, second, err := Calls().Split(rec.Block)
		testkit.Must(t, err)
		again, _, err := Calls().Split(rec.Block)
		testkit.Must(t, err)
		if first.Rows != 4 || second.Rows != 3 || !cmp.Equal(first, again) {
			t.Errorf("%d and %d rows", first.Rows, second.Rows)
		}
	}
	if _, _, err := Calls().Split([]byte("no block")); err == nil {
		t.Error("split what is no block")
	}
}

// The insert of a collector that was killed goes on in the server, and the block
// waits for its end.
func TestWaitsForTheInsertBefore(t *testing.T) {
	b := remembering(t)
	rec := b.record("w/1", 0, 10)
	rec.Again = true
	before, kill := context.WithCancel(testkit.Context(t))
	ended := make(chan error, 1)
	go func() {
		named := ch.Context(before, ch.WithQueryID(queryID("calls", rec.Token)))
		ended <- b.client.Exec(named, "SELECT sleepEachRow(1) FROM numbers(120) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0")
	}()
	for running := uint64(0); running == 0; {
		testkit.Must(t, b.client.QueryRow(testkit.Context(t), "SELECT count() FROM system.processes WHERE startsWith(query_id, 'kongdao/')").Scan(&running))
	}
	if f, _, err := b.judge(testkit.Context(t), rec); err == nil {
		t.Errorf("judged %s while its insert runs", f)
	}
	rec.Again = false
	if err := b.insert(testkit.Context(t), rec); err == nil {
		t.Error("inserted beside its insert")
	}
	b.stored(0)
	kill()
	if err := <-ended; err == nil {
		t.Fatal("the insert before was not cut off")
	}
	for running := uint64(1); running > 0; {
		testkit.Must(t, b.client.QueryRow(testkit.Context(t), "SELECT count() FROM system.processes WHERE startsWith(query_id, 'kongdao/')").Scan(&running))
	}
	b.send(rec, true)
	b.stored(10)
}

// Blocks that were stored before one was appended say nothing of whether its token
// is remembered: here more than the tables remember.
func TestBlocksFromBeforeDoNotCount(t *testing.T) {
	b := remembering(t)
	testkit.Must(t, b.client.Exec(testkit.Context(t), "INSERT INTO stored_blocks SELECT 'calls', concat('other/', toString(number)), 1, 2, now64(3) - INTERVAL 3 MINUTE FROM numbers(8000)"))
	rec := b.record("w/1", 0, 10)
	rec.Again = true
	for appended, want := range map[time.Duration]finding{0: findingUnsure, 10 * time.Minute: findingAbsent} {
		rec.Appended = time.Now().Add(-appended)
		if f := b.found(rec); f != want {
			t.Errorf("appended %s ago: %s, want %s", appended, f, want)
		}
	}
}
