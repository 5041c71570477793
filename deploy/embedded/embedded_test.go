package embedded_test

import (
	"context"
	"testing"

	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

func open(t *testing.T, o clickhouse.Options) *clickhouse.Client {
	t.Helper()
	c, err := clickhouse.New(o)
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

func exec(t *testing.T, c *clickhouse.Client, statement string) {
	t.Helper()
	if err := c.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func number(t *testing.T, c *clickhouse.Client, query string) uint64 {
	t.Helper()
	var n uint64
	if err := c.QueryRow(context.Background(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestRowsSurviveAStop(t *testing.T) {
	dir := t.TempDir()
	e, stop := embeddedtest.StartIn(t, dir)
	c := open(t, e.Options())
	exec(t, c, "CREATE TABLE kept (i UInt64) ENGINE = MergeTree ORDER BY i")
	exec(t, c, "INSERT INTO kept SELECT number FROM numbers(1000)")
	stop()

	again, _ := embeddedtest.StartIn(t, dir)
	if n := number(t, open(t, again.Options()), "SELECT count() FROM kept"); n != 1000 {
		t.Errorf("found %d rows after a stop and a start, want 1000", n)
	}
}
