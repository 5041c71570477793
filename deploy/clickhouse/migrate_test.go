package schema_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

func migrated(t *testing.T) *clickhouse.Client {
	t.Helper()
	e := embeddedtest.Start(t)
	if _, err := schema.Migrate(context.Background(), e.Options()); err != nil {
		t.Fatal(err)
	}
	c, err := clickhouse.Open(context.Background(), e.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestMigrateTwiceIsMigrateOnce(t *testing.T) {
	o := embeddedtest.Start(t).Options()
	latest, err := schema.Latest()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []schema.Result{{Before: 0, After: latest}, {Before: latest, After: latest}} {
		got, err := schema.Migrate(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestColumnsAreThoseOfTheCallLog(t *testing.T) {
	c := migrated(t)
	type column struct{ Name, Type string }
	var want []column
	for _, col := range calllog.Columns() {
		want = append(want, column{col.Name, col.Type})
	}
	read := func() []column {
		t.Helper()
		var got []struct{ Name, Type string }
		err := c.Select(context.Background(), &got,
			"SELECT name AS Name, type AS Type FROM system.columns WHERE database = 'default' AND table = 'calls' ORDER BY position")
		if err != nil {
			t.Fatal(err)
		}
		var columns []column
		for _, g := range got {
			columns = append(columns, column(g))
		}
		return columns
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("columns of calls (-want +got):\n%s", diff)
	}

	t.Run("a column that calllog gained is added in its place", func(t *testing.T) {
		if err := c.Exec(context.Background(), "ALTER TABLE calls DROP COLUMN consumer"); err != nil {
			t.Fatal(err)
		}
		r, err := schema.Migrate(context.Background(), c.Options())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"consumer"}, r.Added); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, read()); diff != "" {
			t.Errorf("columns of calls (-want +got):\n%s", diff)
		}
	})
	t.Run("a column of another type is an error", func(t *testing.T) {
		if err := c.Exec(context.Background(), "ALTER TABLE calls MODIFY COLUMN attempts UInt16"); err != nil {
			t.Fatal(err)
		}
		if r, err := schema.Migrate(context.Background(), c.Options()); err == nil {
			t.Errorf("got %+v, want an error", r)
		}
	})
}

// call is what the test varies; the rest of a row is the same.
type call struct {
	at       time.Time
	status   uint16
	duration uint32
	limited  string
	loadTest string
	weight   uint32
}

func insert(t *testing.T, c *clickhouse.Client, token string, calls []call) {
	t.Helper()
	ctx := ch.Context(context.Background(), ch.WithSettings(ch.Settings{
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
	}))
	b, err := c.PrepareBatch(ctx, "INSERT INTO calls")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range calls {
		err := b.Append(r.at, uuid.New(), "0123456789abcdef", "gw", "zb-a", "shop", "feed", "r1", "feed/0", "zb-a", "10.0.0.1:80",
			"GET", "shop.example", "/feed", r.status, "", r.duration, r.duration, r.duration, uint64(10), uint64(100), uint8(1),
			netip.MustParseAddr("::1"), "curl", "", r.limited, r.loadTest, r.weight, map[string]string{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Send(); err != nil {
		t.Fatal(err)
	}
}

// TestARepeatedBlockCountsOnce sends one block, over two days and so two
// partitions, three times under one token, and another one that is equal but has
// its own token.
func TestARepeatedBlockCountsOnce(t *testing.T) {
	c := migrated(t)
	midnight := time.Now().UTC().Truncate(24 * time.Hour)
	calls := []call{
		{midnight.Add(-time.Second), 200, 1000, "", "", 1},
		{midnight, 200, 1000, "", "", 1},
		{midnight.Add(time.Second), 503, 2000, "", "", 1},
		{midnight.Add(2 * time.Second), 429, 100, "capacity", "", 1},
		{midnight.Add(3 * time.Second), 200, 1000, "", "", 10}, // stands for ten
		{midnight.Add(4 * time.Second), 200, 1000, "", "run-1", 1},
	}
	for range 3 {
		insert(t, c, "gw/1", calls)
	}
	insert(t, c, "gw/2", calls)

	type totals struct{ Calls, Errors, Refused, BytesIn, BytesOut, LoadTest uint64 }
	want := totals{Calls: 30, Errors: 2, Refused: 2, BytesIn: 300, BytesOut: 3000, LoadTest: 2}
	read := func(query string) (got totals) {
		t.Helper()
		row := c.QueryRow(context.Background(), query)
		if err := row.Scan(&got.Calls, &got.Errors, &got.Refused, &got.BytesIn, &got.BytesOut, &got.LoadTest); err != nil {
			t.Fatal(err)
		}
		return got
	}
	raw := read(`SELECT sum(sample_weight), sumIf(sample_weight, status >= 500), sumIf(sample_weight, limited_by != ''),
		sum(bytes_in * sample_weight), sum(bytes_out * sample_weight), countIf(load_test != '') FROM calls`)
	if diff := cmp.Diff(want, raw); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, r := range schema.Rollups() {
		got := read("SELECT sum(calls), sum(errors), sum(refused), sum(bytes_in), sum(bytes_out), sumIf(calls, load_test) FROM " + r.Name)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Name, diff)
		}
	}
}

func TestRollupQuantilesAreWithinOnePercent(t *testing.T) {
	c := migrated(t)
	err := c.Exec(context.Background(), `INSERT INTO calls (ts, function, status, duration_us)
		SELECT now(), 'feed', 200, 1000 + number FROM numbers(100000)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range schema.Rollups() {
		var q []float64
		row := c.QueryRow(context.Background(), "SELECT quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(duration) FROM "+r.Name)
		if err := row.Scan(&q); err != nil {
			t.Fatal(err)
		}
		for i, want := range []float64{51000, 91000, 100000} {
			if q[i] < want*0.99 || q[i] > want*1.01 {
				t.Errorf("%s: quantile %d is %v, want %v within 1%%", r.Name, i, q[i], want)
			}
		}
	}
}

// TestRollupQuantilesAreWeighted has what sampling stores of 99,900 calls that take
// 1 ms and 100 slow ones: one in a hundred of the former, and all of the latter.
func TestRollupQuantilesAreWeighted(t *testing.T) {
	c := migrated(t)
	err := c.Exec(context.Background(), `INSERT INTO calls (ts, function, status, duration_us, sample_weight)
		SELECT now(), 'feed', 200, if(number < 999, 1000, 2000000), if(number < 999, 100, 1) FROM numbers(1099)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range schema.Rollups() {
		var calls uint64
		var q []float64
		row := c.QueryRow(context.Background(), "SELECT sum(calls), quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(duration) FROM "+r.Name)
		if err := row.Scan(&calls, &q); err != nil {
			t.Fatal(err)
		}
		if calls != 100_000 || q[2] < 990 || q[2] > 1010 {
			t.Errorf("%s: %d calls with quantiles %v, want 100000 of which 99%% take 1000", r.Name, calls, q)
		}
	}
}
