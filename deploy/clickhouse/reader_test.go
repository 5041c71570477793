package schema_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// What must never be seen by the reader of these tests.
const (
	otherTenant = "wifi-tenant"
	otherSecret = "otherssecret"
)

var (
	readerOfShop = schema.Reader{Name: "shop", Tenants: []string{"shop", "it's"}, Token: "a-token-of-some-length"}
	alsoOfShop   = schema.Reader{Name: "shop2", Tenants: []string{"shop", "it's"}, Token: "a-third-token-of-some-length"}
	readerOfAll  = schema.Reader{Name: "all", Tenants: []string{schema.AllTenants}, Token: "another-token-of-some-length"}
)

// withReaders is an engine with rows of three tenants. Those of another one are in
// the same granule.
func withReaders(t *testing.T) (e *embedded.Engine, app *clickhouse.Client) {
	t.Helper()
	cfg := embedded.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.Readers = []schema.Reader{readerOfShop, alsoOfShop, readerOfAll}
	e, _ = embeddedtest.StartWith(t, cfg)
	app = open(t, e.Options())
	ctx := context.Background()
	if _, err := schema.Migrate(ctx, e.Options()); err != nil {
		t.Fatal(err)
	}
	if err := schema.EnsureReaderViews(ctx, e.Options(), cfg.Readers); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"shop", "it's", otherTenant} {
		path := "/own"
		if tenant == otherTenant {
			path = "/" + otherSecret
		}
		err := app.Exec(ctx, `INSERT INTO calls (ts, tenant, function, path, status, duration_us, request_id)
			SELECT now() - number, $1, if($1 = $3, $4, 'feed'), $2, 200, number, generateUUIDv4() FROM numbers(1000)`, tenant, path, otherTenant, otherSecret)
		if err != nil {
			t.Fatal(err)
		}
		err = app.Exec(ctx, `INSERT INTO function_logs (ts, tenant, function, body) SELECT now() - number, $1, if($1 = $3, $4, 'feed'), $2 FROM numbers(1000)`,
			tenant, path, otherTenant, otherSecret)
		if err != nil {
			t.Fatal(err)
		}
	}
	return e, app
}

func open(t *testing.T, o clickhouse.Options) *clickhouse.Client {
	t.Helper()
	c, err := clickhouse.Open(context.Background(), o)
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

// answer is everything that a query shows, as text, over the native protocol.
func answer(o clickhouse.Options, query string) (text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var b strings.Builder
	_, err = clickhouse.Ask(ctx, o, query, nil, func(rows driver.Rows) error {
		dest := make([]any, len(rows.ColumnTypes()))
		for rows.Next() {
			for i, c := range rows.ColumnTypes() {
				dest[i] = reflect.New(c.ScanType()).Interface()
			}
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			for _, d := range dest {
				fmt.Fprintf(&b, "%v\t", reflect.ValueOf(d).Elem().Interface())
			}
			b.WriteString("\n")
			if b.Len() > 1<<16 {
				break
			}
		}
		return rows.Err()
	})
	return b.String(), err
}

func TestReadersSeeTheirTenants(t *testing.T) {
	e, app := withReaders(t)
	for _, table := range schema.ReaderTables() {
		query := "SELECT arrayStringConcat(arraySort(groupUniqArray(tenant)), ' ') FROM " + table
		for _, c := range []struct {
			name string
			o    clickhouse.Options
			want string
		}{
			{"reader of two tenants", schema.ReaderOptions(e.Options(), readerOfShop), "it's shop"},
			{"reader of all", schema.ReaderOptions(e.Options(), readerOfAll), "it's shop " + otherTenant},
			{"application", e.Options(), "it's shop " + otherTenant},
			{"analyst", e.AnalystOptions(), "it's shop " + otherTenant},
		} {
			got, err := answer(c.o, query)
			if err != nil || strings.TrimSpace(got) != c.want {
				t.Errorf("%s in %s sees %q and %v, want %q", c.name, table, got, err, c.want)
			}
		}
	}
	t.Run("a driver may send a deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var n uint64
		err := open(t, schema.ReaderOptions(e.Options(), readerOfShop)).QueryRow(ctx, "SELECT count() FROM calls").Scan(&n)
		if err != nil || n != 2000 {
			t.Errorf("%d rows and %v, want 2000", n, err)
		}
	})
	t.Run("a reader that is gone has no views", func(t *testing.T) {
		ctx := context.Background()
		if err := schema.EnsureReaderViews(ctx, e.Options(), []schema.Reader{readerOfAll}); err != nil {
			t.Fatal(err)
		}
		var databases []string
		if err := app.QueryRow(ctx, "SELECT groupArray(name) FROM system.databases WHERE name LIKE '%reader%'").Scan(&databases); err != nil {
			t.Fatal(err)
		}
		if len(databases) != 1 || databases[0] != schema.ReaderUser("default", "all") {
			t.Errorf("databases of readers: %v", databases)
		}
	})
}

// TestUsersNeedRights: the embedded engine stores no users that are made with SQL,
// which is how a server refuses somebody without the right.
func TestUsersNeedRights(t *testing.T) {
	o := embeddedtest.Start(t).Options()
	ctx := context.Background()
	if _, err := schema.Migrate(ctx, o); err != nil {
		t.Fatal(err)
	}
	if err := schema.EnsureReaders(ctx, o, nil); err != nil {
		t.Errorf("without readers: %v", err)
	}
	err := schema.EnsureReaders(ctx, o, []schema.Reader{readerOfShop})
	if !errors.Is(err, schema.ErrAccess) || strings.Contains(err.Error(), readerOfShop.TokenHash()) {
		t.Errorf("got %v, want ErrAccess without the hash of the token", err)
	}
}
