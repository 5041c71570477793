package collector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// BenchmarkFileDurability is what it costs to make the calls of a log file durable
// once and for all: by the write-ahead log, or without one, by offsets. The second
// way writes down which bytes of the file a block is made of, synced, before it
// sends the block, as a block cut by time would have other ends after a crash; and
// once more when it is stored. Both parse, fill, encode and insert alike, in one
// goroutine; docs/adr/0012 says what is made of the figures.
func BenchmarkFileDurability(b *testing.B) {
	engine := migrated(b)
	for _, rows := range []int{20_000, 1_000} { // a busy gateway; 2,000 calls a second and a block each 0.5 s
		lines := min(100_000, 30*rows)
		text := traced(lines)
		for _, way := range []string{"wal", "offsets"} {
			b.Run(fmt.Sprintf("%s/block-%d", way, rows), func(b *testing.B) {
				var d durability
				for range b.N {
					testkit.Must(b, open(b, engine.Options()).Exec(testkit.Context(b), "TRUNCATE TABLE calls"))
					d.begin(b, engine, way)
					d.run(b, text, rows)
				}
				d.report(b, lines*b.N, len(text)*b.N)
			})
		}
	}
}

// traced are lines with ids as gateways write them: most of what does not compress.
func traced(lines int) []byte {
	var text []byte
	for n := range lines {
		id, trace, span := uuid.New(), uuid.New(), uuid.New()
		l := strings.Replace(line(n), fmt.Sprintf("00000000-0000-4000-8000-%012x\x1f-", n),
			fmt.Sprintf("%s\x1f00-%x-%x-01", id, trace[:], span[:8]), 1)
		text = append(text, l...)
	}
	return text
}

// durability is one way, and what it has cost so far.
type durability struct {
	inserter *clickhouse.Inserter
	columns  []string
	log      *wal.Log // nil: by offsets
	offsets  *os.File
	run1     string // makes tokens of this run differ from others'

	cpu     time.Duration
	written int64
	syncs   int
	durable []float64 // ms from a full block to when it is durable
}

func (d *durability) begin(b *testing.B, engine *embedded.Engine, way string) {
	b.Helper()
	dir := b.TempDir()
	d.inserter = clickhouse.NewInserter(engine.Options(), calllog.Revision)
	d.columns, d.run1, d.log, d.offsets = nil, dir, nil, nil
	for _, c := range calllog.Columns() {
		d.columns = append(d.columns, c.Name)
	}
	var err error
	if way == "wal" {
		d.log, err = wal.Open(wal.Options{Dir: dir, BudgetBytes: 1 << 30, Log: testLog(b)})
		testkit.Must(b, err)
		return
	}
	d.offsets, err = os.Create(filepath.Join(dir, "offsets"))
	testkit.Must(b, err)
}

func (d *durability) run(b *testing.B, text []byte, rows int) {
	b.Helper()
	block, buf, at, from := calllog.NewBlock(), []byte(nil), 0, 0
	var r calllog.Record
	before := cpuTime(b)
	flush := func() {
		var err error
		buf, err = block.Encode(buf[:0])
		testkit.Must(b, err)
		d.store(b, block, buf, from, at)
		block.Reset()
		from = at
	}
	for line := range bytes.Lines(text) {
		testkit.Must(b, calllog.ParseText(line, &r))
		block.Append(&r)
		at += len(line)
		if block.Rows() == rows {
			flush()
		}
	}
	if block.Rows() > 0 {
		flush()
	}
	d.cpu += cpuTime(b) - before
	if d.log != nil {
		testkit.Must(b, d.log.Close())
	} else {
		testkit.Must(b, d.offsets.Close())
	}
	testkit.Must(b, d.inserter.Close())
}

func (d *durability) store(b *testing.B, block *calllog.Block, encoded []byte, from, to int) {
	b.Helper()
	full := time.Now()
	positions, err := json.Marshal(map[string][2]int{"/var/log/access.log": {from, to}})
	testkit.Must(b, err)
	if d.log == nil {
		token := fmt.Sprintf("%s/%d-%d", d.run1, from, to)
		d.save(b, positions)
		d.insert(b, token, encoded)
		d.durable = append(d.durable, float64(time.Since(full).Microseconds())/1000)
		d.save(b, positions)
		return
	}
	early, late := block.Span()
	_, err = d.log.Append(testkit.Context(b), wal.Entry{
		Rows: block.Rows(), MinTime: time.UnixMicro(early), MaxTime: time.UnixMicro(late),
		Revision: calllog.Revision, Positions: positions, Block: encoded,
	})
	testkit.Must(b, err)
	d.durable = append(d.durable, float64(time.Since(full).Microseconds())/1000)
	d.syncs++
	d.written += int64(len(encoded) + len(positions))
	rec, err := d.log.Next(testkit.Context(b))
	testkit.Must(b, err)
	d.insert(b, rec.Token, rec.Block)
	testkit.Must(b, d.log.Ack(rec.Seq))
}

func (d *durability) save(b *testing.B, positions []byte) {
	b.Helper()
	_, err := d.offsets.Write(positions)
	testkit.Must(b, err)
	testkit.Must(b, d.offsets.Sync())
	d.written += int64(len(positions))
	d.syncs++
}

func (d *durability) insert(b *testing.B, token string, block []byte) {
	b.Helper()
	testkit.Must(b, d.inserter.Insert(testkit.Context(b), clickhouse.Insert{
		Table: "calls", Columns: d.columns, Block: block,
		Settings: map[string]any{
			"insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": 1, "async_insert": 0,
			"max_partitions_per_insert_block": 0,
		},
	}))
}

func (d *durability) report(b *testing.B, rows, text int) {
	b.ReportMetric(float64(d.cpu.Microseconds())/float64(rows), "cpu-µs/row")
	b.ReportMetric(float64(d.written)/float64(rows), "B-written/row")
	b.ReportMetric(float64(d.syncs)/float64(rows)*1000, "fsyncs/1k-rows")
	b.ReportMetric(median(d.durable), "ms-to-durable")
	outage := float64(text) / float64(rows) // what waits while ClickHouse is away: lines
	if d.log != nil {
		outage = float64(d.written) / float64(rows)
	}
	b.ReportMetric(outage, "B-waiting/row")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what this process has used of the processor; ClickHouse is another one.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	testkit.Must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
