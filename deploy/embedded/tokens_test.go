package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// TestTokenOfAnUnfinishedPart leaves on disk what an engine does that is killed
// after it wrote down the token of a part and before it gave the part its name.
// The insert is sent again, and has to be stored; one that was stored is not
// stored again, also after its part was merged.
func TestTokenOfAnUnfinishedPart(t *testing.T) {
	dir := t.TempDir()
	e, stop := embeddedtest.StartIn(t, dir)
	c := open(t, e.Options())
	execute(t, c, `CREATE TABLE kept (i UInt64) ENGINE = MergeTree PARTITION BY i % 2 ORDER BY i
		SETTINGS non_replicated_deduplication_window = 100`)
	insertWithToken(t, c, "merged", 0, 1)
	insertWithToken(t, c, "merged too", 2, 3)
	execute(t, c, "OPTIMIZE TABLE kept FINAL")
	insertWithToken(t, c, "stored", 4, 5)
	insertWithToken(t, c, "torn", 6, 7)
	var lost string
	if err := c.QueryRow(context.Background(), `SELECT path FROM system.parts
		WHERE table = 'kept' AND active AND partition_id = '1' ORDER BY max_block_number DESC LIMIT 1`).Scan(&lost); err != nil {
		t.Fatal(err)
	}
	lost = filepath.Clean(lost)
	folder := filepath.Dir(lost)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := os.Rename(lost, filepath.Join(folder, "tmp_insert_1_8_8_0")); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(folder, "deduplication_logs", "deduplication_log_1.txt")
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("1\t0_9_9"); err != nil { // a line that the kill cut off
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	e, _ = embeddedtest.StartIn(t, dir)
	c = open(t, e.Options())
	for _, token := range []string{"merged", "merged too", "stored", "torn"} {
		from := map[string]uint64{"merged": 0, "merged too": 2, "stored": 4, "torn": 6}[token]
		insertWithToken(t, c, token, from, from+1)
	}
	if n := number(t, c, "SELECT count() FROM kept"); n != 8 {
		t.Errorf("%d rows, want 8", n)
	}
	if n := number(t, c, "SELECT uniqExact(i) FROM kept"); n != 8 {
		t.Errorf("%d different rows, want 8", n)
	}
}

func insertWithToken(t *testing.T, c *clickhouse.Client, token string, values ...uint64) {
	t.Helper()
	ctx := ch.Context(context.Background(), ch.WithSettings(ch.Settings{"insert_deduplication_token": token}))
	b, err := c.PrepareBatch(ctx, "INSERT INTO kept")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if err := b.Append(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Send(); err != nil {
		t.Fatal(err)
	}
}
