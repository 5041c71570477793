package chaos

import (
	"fmt"
	"testing"
	"time"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// TestOldRetries sends blocks again after the tables have forgotten their tokens:
// the ledger knows whether they were stored.
func TestOldRetries(t *testing.T) {
	r := newRig(t, nil)
	for range 2 {
		r.load(100)()
		cuts := r.proxy.cuts.Load()
		r.proxy.set(fault{cutAnswer: true})
		r.load(200)()
		testkit.Eventually(t, "a block is stored, and nobody knows", func() bool { return r.proxy.cuts.Load() > cuts })
		r.killCollector()
		r.ledger.look("its answers were cut off")
		r.proxy.set(fault{})
		r.idle()
		r.forget()
		r.startCollector()
		c := r.client()
		r.drained(c)
		testkit.Must(t, c.Close())
		r.window(10_000)
	}
	r.check("after two times")
}

// idle waits until no insert is halfway.
func (r *rig) idle() {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	testkit.Eventually(r.t, "no insert is halfway", func() bool {
		var n uint64
		err := c.QueryRow(testkit.Context(r.t), "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO calls%'").Scan(&n)
		return err == nil && n == 0
	})
}

func (r *rig) window(blocks int) {
	r.t.Helper()
	tables := []string{"calls"}
	for _, rollup := range schema.Rollups() {
		tables = append(tables, rollup.Name)
	}
	for _, table := range tables {
		r.exec(fmt.Sprintf("ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = %d", table, blocks))
	}
}

// forget makes the tables forget all tokens but those of blocks of another
// collector, which it stores.
func (r *rig) forget() {
	r.t.Helper()
	r.window(2)
	for n := range 4 {
		r.exec(fmt.Sprintf("INSERT INTO calls (ts, gateway, function) SETTINGS insert_deduplication_token = 'other/%d', "+
			"deduplicate_blocks_in_dependent_materialized_views = 1, async_insert = 0 VALUES (now64(6), 'other', 'fn-%d')",
			time.Now().UnixNano(), n))
	}
}
