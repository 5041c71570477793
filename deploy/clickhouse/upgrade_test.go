package schema_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// TestEveryVersionComesUp brings a database with rows from each earlier version to
// the newest, twice: nothing is lost or double, and rows that come then are counted
// like those from before.
func TestEveryVersionComesUp(t *testing.T) {
	e := embeddedtest.Start(t)
	versions, err := schema.Versions()
	if err != nil {
		t.Fatal(err)
	}
	app := open(t, e.Options())
	for _, v := range versions[:len(versions)-1] {
		t.Run(fmt.Sprint("from ", v), func(t *testing.T) { upgrade(t, e.Options(), app, v) })
	}
}

func upgrade(t *testing.T, o clickhouse.Options, app *clickhouse.Client, from int64) {
	ctx := context.Background()
	o.Database = fmt.Sprint("v", from)
	if err := app.Exec(ctx, "CREATE DATABASE "+o.Database); err != nil {
		t.Fatal(err)
	}
	if err := schema.UpTo(ctx, o, from); err != nil {
		t.Fatal(err)
	}
	c := open(t, o)
	const insert = `INSERT INTO calls (ts, tenant, function, status, duration_us, request_id, sample_weight)
		SELECT now() - number, 'shop', 'feed', if(number % 10 = 0, 500, 200), 1000, generateUUIDv4(), 2 FROM numbers(500)`
	if err := c.Exec(ctx, insert); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := schema.Migrate(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Exec(ctx, insert); err != nil {
		t.Fatal(err)
	}
	type sums struct{ Calls, Errors, Rows uint64 }
	read := func(query string) (s sums) {
		t.Helper()
		if err := c.QueryRow(ctx, query).Scan(&s.Calls, &s.Errors, &s.Rows); err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := sums{2000, 200, 1000}
	if diff := cmp.Diff(want, read("SELECT sum(sample_weight), sumIf(sample_weight, status >= 500), count() FROM calls")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if from < 2 {
		want.Calls, want.Errors = 1000, 100 // the first half is from before there were rollups
	}
	for _, r := range schema.Rollups() {
		if diff := cmp.Diff(want, read("SELECT sum(calls), sum(errors), toUInt64(1000) FROM "+r.Name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Name, diff)
		}
	}
	var ids uint64
	wantIDs := uint64(1000)
	if from < 40 {
		wantIDs = 500 // the first half is from before there were ids
	}
	if err := c.QueryRow(ctx, "SELECT count() FROM call_ids").Scan(&ids); err != nil || ids != wantIDs {
		t.Errorf("%d ids and %v, want %d", ids, err, wantIDs)
	}
}
