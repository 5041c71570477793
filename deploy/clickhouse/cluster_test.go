package schema_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

var update = flag.Bool("update", false, "write the golden files")

// TestStatementsForAClusterAreWritten: the migrations as a cluster gets them. They
// have not run on one; the server's own parser has read them.
func TestStatementsForAClusterAreWritten(t *testing.T) {
	statements, err := schema.Statements("main")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(statements, ";\n\n") + ";\n"
	const golden = "testdata/cluster.sql"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run go test ./deploy/clickhouse -update (-want +got):\n%s", diff)
	}
	c := open(t, embeddedtest.Start(t).Options())
	for _, s := range append(statements, schema.ReaderSQL(clickhouse.Options{User: "kongdao"}, readerOfShop)...) {
		var formatted string
		if err := c.QueryRow(context.Background(), "SELECT formatQuery($1)", s).Scan(&formatted); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// TestTwoServersAsOne has two engines that know each other as a cluster of two
// shards, with the tables of a cluster but for replication and ON CLUSTER, which need
// a Keeper.
func TestTwoServersAsOne(t *testing.T) {
	ctx := context.Background()
	var options []clickhouse.Options
	ports := []string{free(t), free(t)}
	for _, port := range ports {
		cfg := embedded.DefaultConfig()
		cfg.Dir, cfg.Address = t.TempDir(), "127.0.0.1:"+port
		cfg.ServerXML = cluster(ports)
		e, _ := embeddedtest.StartWith(t, cfg)
		options = append(options, e.Options())
	}
	statements, err := schema.Statements("main")
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range options {
		c := open(t, o)
		for _, s := range statements {
			if err := c.Exec(ctx, alone(s)); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		for _, tenant := range []string{"shop", otherTenant} {
			err := c.Exec(ctx, "INSERT INTO calls_local (ts, tenant, function, path, request_id) SELECT now() - number, $1, 'feed', $2, generateUUIDv4() FROM numbers(100)",
				tenant, fmt.Sprint("/", i))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, o := range options {
		for _, q := range []struct {
			who       clickhouse.Options
			sql, want string
		}{
			{o, "SELECT count(), uniq(path), uniq(tenant) FROM calls", "400\t2\t2"},
			{o, "SELECT sum(calls), uniq(tenant) FROM calls_1h", "400\t2"},
			{o, "SELECT count() FROM calls_local", "200"},
		} {
			got, err := answer(q.who, q.sql)
			if strings.TrimSpace(got) != q.want || err != nil {
				t.Errorf("server %d: %s: %q and %v, want %q", i, q.sql, got, err, q.want)
			}
		}
	}
	lacking := func(want int) {
		t.Helper()
		got, err := schema.LackColumns(ctx, options[0], "main", "calls_local", []string{"ts", "user_agent"})
		if err != nil || len(got) != want {
			t.Errorf("%v and %v, want %d replicas that lack a column", got, err, want)
		}
	}
	lacking(0)
	if err := open(t, options[1]).Exec(ctx, "ALTER TABLE calls_local DROP COLUMN user_agent"); err != nil {
		t.Fatal(err)
	}
	lacking(1)
	if err := open(t, options[1]).Exec(ctx, "RENAME TABLE calls_local TO elsewhere"); err != nil {
		t.Fatal(err)
	}
	lacking(1)
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func cluster(ports []string) string {
	var b strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&b, "<shard><replica><host>127.0.0.1</host><port>%s</port></replica></shard>", p)
	}
	return "<remote_servers><main><secret>between servers</secret>" + b.String() + "</main></remote_servers>"
}

var replicated = regexp.MustCompile(`Replicated(\w*)MergeTree\('[^']*', '\{replica\}'(?:, )?`)

// alone is a statement for a cluster on a server without a Keeper.
func alone(s string) string {
	s = strings.ReplaceAll(s, " ON CLUSTER `main`", "")
	s = strings.ReplaceAll(s, " replicated_dedup", " non_replicated_dedup")
	return replicated.ReplaceAllString(s, "${1}MergeTree(")
}
