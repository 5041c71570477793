package schema_test

import (
	"testing"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// TestTokenIsKnownAfterARestart sends a block before and after ClickHouse starts
// again: no table counts it twice. A view whose query a migration changed (ALTER
// TABLE … MODIFY QUERY) would: until the next start it has another id, which is part
// of what the tables of views make of the token. A migration that has to do that
// renames the view and back, which gives it the old id again.
func TestTokenIsKnownAfterARestart(t *testing.T) {
	dir := t.TempDir()
	e, stop := embeddedtest.StartIn(t, dir)
	if _, err := schema.Migrate(t.Context(), e.Options()); err != nil {
		t.Fatal(err)
	}
	want := sendOnce(t, e.Options())
	stop()
	e, _ = embeddedtest.StartIn(t, dir)
	got := sendOnce(t, e.Options())
	for table, n := range got {
		if n != want[table] || n == 0 {
			t.Errorf("%s: %d calls after the block was sent again, %d before", table, n, want[table])
		}
	}
}

// sendOnce inserts the block, and returns what each table that views fill counts.
func sendOnce(t *testing.T, o clickhouse.Options) map[string]uint64 {
	t.Helper()
	c, err := clickhouse.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Exec(t.Context(), `INSERT INTO calls (ts, request_id, function) SETTINGS insert_deduplication_token = 'w/1', async_insert = 0,
		deduplicate_blocks_in_dependent_materialized_views = 1
		SELECT now64(6), generateUUIDv4(), 'f' FROM numbers(10)`); err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, table := range []string{"calls", "stored_blocks"} {
		counts[table] = one(t, c, "SELECT count() FROM "+table)
	}
	for _, r := range schema.Rollups() {
		counts[r.Name] = one(t, c, "SELECT sum(calls) FROM "+r.Name)
	}
	return counts
}

func one(t *testing.T, c *clickhouse.Client, query string) (n uint64) {
	t.Helper()
	if err := c.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
