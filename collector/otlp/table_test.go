package otlp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"

	"github.com/kongdao/kongdao/internal/fnlog"
	"github.com/kongdao/kongdao/internal/testkit"
)

func rowsOf(t testing.TB, block []byte) (rows []row) {
	t.Helper()
	b, err := fnlog.DecodeBlock(block)
	testkit.Must(t, err)
	b.Each(func(r *fnlog.Record) { rows = append(rows, rowOf(r)) })
	return rows
}

func blockOf(t testing.TB, message []byte) []byte {
	t.Helper()
	var b batch
	b.begin(DefaultConfig().Limits, noon)
	testkit.Must(t, b.decode(message))
	block := fnlog.NewBlock()
	for i := range b.records {
		block.Append(&b.records[i])
	}
	data, err := block.Encode(nil)
	testkit.Must(t, err)
	return data
}

func TestSplit(t *testing.T) {
	block := blockOf(t, bytesOf(t, randomRequest(rand.New(rand.NewPCG(8, 9)), 7)))
	first, second, err := Table().Split(block)
	testkit.Must(t, err)
	if diff := cmp.Diff(rowsOf(t, block), append(rowsOf(t, first.Block), rowsOf(t, second.Block)...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if first.Rows+second.Rows != len(rowsOf(t, block)) {
		t.Errorf("%d and %d rows", first.Rows, second.Rows)
	}
}

// TestMissing: what is in the table already is found, row by row, and the ledger has
// a row for each stored block.
func TestMissing(t *testing.T) {
	engine := migrated(t)
	r := start(t, testConfig(t.TempDir()), engine.Options())
	c := newClient(t, r.Receiver)
	c.post(bytesOf(t, one(1)))
	stored := one(2)
	c.post(bytesOf(t, stored))
	testkit.Must(t, r.Drain(testkit.Context(t)))
	client := open(t, engine.Options())
	both := request(kvs("service.name", "feed"))
	both.ResourceLogs[0].ScopeLogs[0].LogRecords = append(one(3).ResourceLogs[0].ScopeLogs[0].LogRecords, stored.ResourceLogs[0].ScopeLogs[0].LogRecords...)
	limits := DefaultConfig().Limits
	b := batch{}
	b.begin(limits, nowOf(stored))
	testkit.Must(t, b.decode(bytesOf(t, both)))
	block := fnlog.NewBlock()
	for i := range b.records {
		block.Append(&b.records[i])
	}
	data, err := block.Encode(nil)
	testkit.Must(t, err)
	rest, err := Table().Missing(testkit.Context(t), client, data)
	testkit.Must(t, err)
	if rows := rowsOf(t, rest.Block); len(rows) != 1 || rows[0].Body != "record 3" {
		t.Errorf("missing: %v, want record 3", rows)
	}
	var blocks, inLedger uint64
	testkit.Must(t, client.QueryRow(testkit.Context(t), "SELECT count(), sum(rows) FROM stored_blocks WHERE table = 'function_logs'").Scan(&blocks, &inLedger))
	if inLedger != 2 || blocks == 0 {
		t.Errorf("%d rows in %d blocks in the ledger, want 2", inLedger, blocks)
	}
}

// nowOf is when a request with records of their own time arrives.
func nowOf(m *logspb.ExportLogsServiceRequest) time.Time {
	return time.Unix(0, int64(m.ResourceLogs[0].ScopeLogs[0].LogRecords[0].TimeUnixNano))
}
