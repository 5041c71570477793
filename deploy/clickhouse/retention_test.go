package schema_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
)

// TestRowsGoByTenant inserts rows of some ages and lets the engine expire them.
func TestRowsGoByTenant(t *testing.T) {
	e := embeddedtest.Start(t)
	ctx := context.Background()
	if _, err := schema.Migrate(ctx, e.Options()); err != nil {
		t.Fatal(err)
	}
	c := open(t, e.Options())
	cfg := schema.Config{RetentionDays: 20, Tenants: map[string]int{"short": 2, "it's": 2, "long": 60}}
	for i, want := range []bool{true, false} { // again: nothing differs
		r, err := schema.MigrateAs(ctx, e.Options(), cfg)
		if err != nil || (len(r.Kept) > 0) != want {
			t.Fatalf("start %d changed %q and %v", i, r.Kept, err)
		}
	}
	for _, tenant := range []string{"short", "it's", "long", "other"} {
		err := c.Exec(ctx, `INSERT INTO calls (ts, tenant, function, request_id, trace_id)
			SELECT now() - toIntervalDay(number * 5), $1, 'f', generateUUIDv4(), 'x' FROM numbers(9)`, tenant) // 0 to 40 days old
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []string{"calls", "call_ids", "calls_10s", "calls_1m", "calls_1h"} {
		if err := c.Exec(ctx, "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			t.Fatal(err)
		}
	}
	read := func(table string) map[string]uint64 {
		counts := map[string]uint64{}
		rows, err := c.Query(ctx, "SELECT tenant, count() FROM "+table+" GROUP BY tenant")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var tenant string
			var n uint64
			if err := rows.Scan(&tenant, &n); err != nil {
				t.Fatal(err)
			}
			counts[tenant] = n
		}
		return counts
	}
	for table, want := range map[string]map[string]uint64{
		"calls":     {"short": 1, "it's": 1, "other": 4, "long": 9},
		"call_ids":  {"short": 2, "it's": 2, "other": 10, "long": 18}, // two ids each; a day longer
		"calls_10s": {"short": 1, "it's": 1, "other": 2, "long": 2},
		"calls_1m":  {"short": 1, "it's": 1, "other": 9, "long": 9},
		"calls_1h":  {"short": 1, "it's": 1, "other": 9, "long": 9},
	} {
		var got map[string]uint64
		if !within(30*time.Second, func() bool { got = read(table); return same(got, want) }) {
			t.Errorf("%s has %v, want %v", table, got, want)
		}
	}
	t.Run("results of stress tests", func(t *testing.T) {
		kept := func(days int) {
			cfg.LoadRunDays = days
			if _, err := schema.MigrateAs(ctx, e.Options(), cfg); err != nil {
				t.Fatal(err)
			}
		}
		kept(1000)
		if err := c.Exec(ctx, `INSERT INTO load_runs (run, started, ended) SELECT toString(number), ended, now() - toIntervalDay(number * 100) AS ended FROM numbers(9)`); err != nil {
			t.Fatal(err)
		}
		kept(0) // a year: those that are there go, too
		var n uint64
		if !within(30*time.Second, func() bool {
			return c.QueryRow(ctx, "SELECT count() FROM load_runs").Scan(&n) == nil && n == 4
		}) {
			t.Errorf("%d results are left, want 4", n)
		}
	})
	t.Run("back to the default", func(t *testing.T) {
		if r, err := schema.Migrate(ctx, e.Options()); err != nil || len(r.Kept) == 0 {
			t.Fatalf("%q and %v", r.Kept, err)
		}
		var engine string
		if err := c.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE name = 'calls' AND database = 'default'").Scan(&engine); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(engine, "TTL toDateTime(ts) + toIntervalDay(30) SETTINGS ttl_only_drop_parts = 1") {
			t.Error(engine)
		}
	})
}

func same(a, b map[string]uint64) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// TestOldCallsMoveToTheColdVolume has an engine with two disks.
func TestOldCallsMoveToTheColdVolume(t *testing.T) {
	cfg := embedded.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.ServerXML = "<storage_configuration><disks><slow><path>" + t.TempDir() + `/</path></slow></disks>
		<policies><tiers><volumes><default><disk>default</disk></default><cold><disk>slow</disk></cold></volumes></tiers></policies></storage_configuration>`
	e, _ := embeddedtest.StartWith(t, cfg)
	ctx := context.Background()
	if _, err := schema.Migrate(ctx, e.Options()); err != nil {
		t.Fatal(err)
	}
	tiers := schema.Config{RetentionDays: 30, StoragePolicy: "tiers", ColdAfterDays: 3}
	for _, want := range []bool{true, false} {
		if r, err := schema.MigrateAs(ctx, e.Options(), tiers); err != nil || (len(r.Kept) > 0) != want {
			t.Fatalf("%q and %v", r.Kept, err)
		}
	}
	c := open(t, e.Options())
	if err := c.Exec(ctx, "INSERT INTO calls (ts) SELECT now() - toIntervalDay(number * 5) FROM numbers(2)"); err != nil {
		t.Fatal(err)
	}
	var disks []string
	if !within(30*time.Second, func() bool {
		if err := c.QueryRow(ctx, "SELECT groupArray(disk_name) FROM (SELECT disk_name FROM system.parts WHERE active AND table = 'calls' ORDER BY partition)").Scan(&disks); err != nil {
			t.Fatal(err)
		}
		return slices.Equal(disks, []string{"slow", "default"})
	}) {
		t.Errorf("days are on disks %v, want the older on slow, the newer on default", disks)
	}
}

// within asks until yes says so: ClickHouse tells nobody when a merge or a move is over.
func within(limit time.Duration, yes func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !yes(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
