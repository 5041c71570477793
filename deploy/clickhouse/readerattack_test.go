package schema_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// How an attack has to end.
const (
	refused  = "refused" // with an error of the server
	harmless = "own"     // with anything, but nothing of others
)

// attacks are statements that reach for more than the rows of the reader, and how
// each has to end: with an error, with exactly that answer, or without anything of
// other tenants. There are 2,000 rows that the reader may see and 1,000 others.
var attacks = []struct{ sql, want string }{
	// Rows of others.
	{"SELECT count() FROM calls", "2000"},
	{"SELECT count() FROM calls WHERE tenant = 'wifi-tenant'", "0"},
	{"SELECT count() FROM calls PREWHERE tenant = 'wifi-tenant'", refused}, // a view has none
	{"SELECT count() FROM calls WHERE tenant != 'shop' OR 1", "2000"},
	{"SELECT uniq(tenant), count() FROM (SELECT * FROM calls UNION ALL SELECT * FROM calls)", "2\t4000"},
	{"SELECT count() FROM calls WHERE tenant IN (SELECT tenant FROM calls)", "2000"},
	{"SELECT countIf(b.tenant NOT IN ('shop', 'it''s')) FROM calls AS a JOIN calls AS b ON a.duration_us = b.duration_us", "0"},
	{"WITH (SELECT groupUniqArray(path) FROM calls) AS p SELECT p", "[/own]"},
	{"SELECT min(path), max(path) FROM calls", "/own\t/own"},
	{"SELECT * FROM default.calls", refused},
	{"SELECT count() FROM default.calls_1m", refused},
	{"SELECT tenant FROM default.calls UNION ALL SELECT tenant FROM calls", refused},
	{"SELECT tenant FROM calls WHERE path IN (SELECT path FROM default.calls)", refused},
	{"SELECT * FROM default.load_runs", refused},
	{"SELECT * FROM default.calls_1m_from_calls", refused},
	{"SELECT * FROM default.goose_db_version", refused},
	{"SELECT * FROM default_reader_all.calls", refused},
	{"SELECT sum(calls) FROM calls_1h WHERE tenant = 'wifi-tenant'", "0"},
	{"SELECT sum(calls) FROM calls_10s", "2000"},
	{"SELECT DISTINCT function FROM calls_1m", "feed"},
	{"SELECT count() FROM calls FINAL", "2000"},
	{"SELECT count() FROM calls SAMPLE 0.5", "2000"},
	{"SELECT count() FROM view(SELECT * FROM default.calls)", refused},
	{"SELECT count() FROM viewIfPermitted(SELECT tenant FROM default.calls ELSE null('tenant String'))", "0"},
	{"SELECT count() FROM merge('default', '.*')", refused},
	{"SELECT count() FROM merge(REGEXP('.*'), '^calls$')", harmless},
	{"SELECT uniq(tenant) FROM merge('default_reader_shop', '^calls$')", "2"},
	{"SELECT count() FROM loop(default.calls) LIMIT 1", refused},
	{"SELECT * FROM mergeTreeIndex('default', 'calls')", refused},
	{"SELECT * FROM mergeTreeIndex('default_reader_shop', 'calls')", refused},
	{"SELECT * FROM mergeTreeAnalyzeIndexes('default', 'calls', tenant = 'wifi-tenant')", refused},
	{"SELECT * FROM mergeTreeAnalyzeIndexes('default_reader_shop', 'calls', tenant = 'wifi-tenant')", refused},
	{"SELECT * FROM mergeTreeProjection('default', 'calls', 'p')", refused},
	{"SELECT hasColumnInTable('default', 'calls', 'tenant')", refused},
	{"SELECT joinGet('default.calls', 'path', 1)", refused},
	{"SELECT dictGet('default.calls', 'path', 1)", refused},

	// Learning about rows of others from errors that a condition makes.
	{"SELECT count() FROM calls WHERE throwIf(tenant = 'wifi-tenant') = 0", "2000"},
	{"SELECT count() FROM calls WHERE intDiv(1, tenant != 'wifi-tenant') = 1", "2000"},
	{"SELECT count() FROM calls WHERE throwIf(path = '/otherssecret') = 0 AND status = 200", "2000"},
	{"SELECT count(throwIf(tenant = 'wifi-tenant')) FROM calls", "2000"},
	{"SELECT countIf(throwIf(b.tenant = 'wifi-tenant') = 0) > 0 FROM calls AS a JOIN calls AS b ON a.duration_us = b.duration_us AND throwIf(b.tenant = 'wifi-tenant') = 0", "1"},

	// Who one is.
	{"SELECT currentUser(), currentDatabase(), getSetting('readonly')", "default_reader_shop\tdefault_reader_shop\t1"},
	{"SELECT DISTINCT currentUser() FROM calls", "default_reader_shop"},
	{"EXECUTE AS kongdao SELECT count() FROM default.calls", refused},
	{"GRANT SELECT ON *.* TO default_reader_shop", refused},
	{"GRANT CURRENT GRANTS ON *.* TO default_reader_all", refused},
	{"CREATE USER x IDENTIFIED BY 'x'", refused},
	{"ALTER USER default_reader_shop IDENTIFIED BY 'x'", refused},
	{"ALTER USER default_reader_shop SETTINGS readonly = 0", refused},
	{"CREATE ROW POLICY x ON default.calls USING 1 TO ALL", refused},
	{"DROP ROW POLICY x ON default.calls", refused},
	{"ALTER QUOTA default_reader_shop FOR INTERVAL 1 SECOND NO LIMITS", refused},

	// Other places.
	{"SELECT * FROM remote('127.0.0.1:9000', 'default', 'calls', 'kongdao', '')", refused},
	{"SELECT * FROM remoteSecure('127.0.0.1:9000', 'default', 'calls', 'kongdao', '')", refused},
	{"SELECT * FROM cluster('default', 'default', 'calls')", refused},
	{"SELECT * FROM clusterAllReplicas('default', 'default', 'calls')", refused},
	{"SELECT * FROM file('/etc/passwd', 'LineAsString', 'x String')", refused},
	{"SELECT file('/etc/passwd')", refused},
	{"SELECT file('/etc/passwd', 'default')", refused},
	{"SELECT file(concat('../', 'users.xml'), NULL)", refused},
	{"SELECT * FROM filesystem('/etc')", refused},
	{"SELECT * FROM `/etc/passwd`", refused},
	{"DESCRIBE file('/etc/passwd')", refused},
	{"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'x String')", refused},
	{"SELECT * FROM s3('http://localhost:1/bucket/x', 'LineAsString', 'x String')", refused},
	{"SELECT * FROM iceberg('http://localhost:1/bucket/x')", refused},
	{"SELECT * FROM hdfs('hdfs://localhost:1/x', 'TSV', 'x String')", refused},
	{"SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", refused},
	{"SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')", refused},
	{"SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'a String')", refused},
	{"SELECT * FROM redis('127.0.0.1:1', 'a', 'a String')", refused},
	{"SELECT * FROM sqlite('a', 'b')", refused},
	{"SELECT * FROM jdbc('a', 'b', 'c')", refused},
	{"SELECT * FROM odbc('a', 'b', 'c')", refused},
	{"SELECT * FROM executable('x', 'TSV', 'a String')", refused},
	{"SELECT * FROM dictionary('x')", refused},
	{"SELECT catboostEvaluate('/etc/passwd', 1)", refused},
	{"SELECT path FROM calls LIMIT 1 INTO OUTFILE '/tmp/x'", "/own"}, // the client's business

	// The server.
	{"SELECT * FROM system.users", refused},
	{"SELECT * FROM system.row_policies", refused},
	{"SELECT * FROM system.grants", harmless},
	{"SELECT * FROM system.parts", refused},
	{"SELECT * FROM system.parts_columns", refused},
	{"SELECT * FROM system.processes", refused},
	{"SELECT * FROM system.query_log", refused},
	{"SELECT * FROM system.server_settings", harmless},
	{"SELECT * FROM system.disks", refused},
	{"SELECT sum(total_rows), sum(length(data_paths)) FROM system.tables", "<nil>\t0"},
	{"SELECT groupUniqArray(database) FROM system.tables", "[default_reader_shop]"},
	{"SELECT groupUniqArray(table) FROM system.columns WHERE database = 'default'", "[]"},
	{"SELECT * FROM information_schema.tables", refused},
	{"SHOW PROCESSLIST", refused},
	{"SHOW TABLES FROM default", harmless},
	{"SHOW CREATE TABLE default.calls", refused},
	{"DESCRIBE default.calls", refused},
	{"EXISTS TABLE default.calls", refused},
	{"USE default", refused},
	{"CHECK TABLE default.calls", refused},
	{"EXPLAIN ESTIMATE SELECT * FROM calls WHERE tenant = 'wifi-tenant'", harmless},
	{"EXPLAIN indexes = 1 SELECT count() FROM calls", harmless},
	{"EXPLAIN SELECT * FROM default.calls", refused},
	{"EXPLAIN QUERY TREE SELECT * FROM default.calls", harmless}, // columns, which everybody knows
	{"EXPLAIN ESTIMATE SELECT * FROM default.calls", refused},
	{"KILL QUERY WHERE 1", refused},
	{"SYSTEM STOP MERGES default.calls", refused},
	{"SYSTEM FLUSH LOGS", refused},
	{"SYSTEM SHUTDOWN", refused},
	{"SYSTEM RELOAD CONFIG", refused},
	{"SYSTEM STOP LISTEN TCP", refused},

	// Writing.
	{"INSERT INTO calls (tenant) VALUES ('shop')", refused},
	{"INSERT INTO default.calls (tenant) SELECT 'shop'", refused},
	{"INSERT INTO FUNCTION file('/tmp/x') SELECT 1", refused},
	{"CREATE TABLE x (a UInt8) ENGINE = Memory", refused},
	{"CREATE TEMPORARY TABLE x (a UInt8)", refused},
	{"CREATE TABLE x ENGINE = File(TSV, '/etc/passwd')", refused},
	{"CREATE VIEW x AS SELECT * FROM default.calls", refused},
	{"CREATE OR REPLACE VIEW calls DEFINER = kongdao SQL SECURITY DEFINER AS SELECT * FROM default.calls", refused},
	{"ALTER TABLE calls MODIFY SQL SECURITY DEFINER DEFINER = kongdao", refused},
	{"CREATE DATABASE x", refused},
	{"CREATE FUNCTION x AS (a) -> a", refused},
	{"CREATE DICTIONARY x (a String) PRIMARY KEY a SOURCE(FILE(PATH '/etc/passwd' FORMAT 'TSV')) LAYOUT(FLAT()) LIFETIME(1)", refused},
	{"CREATE NAMED COLLECTION x AS a = 1", refused},
	{"ALTER TABLE default.calls DELETE WHERE 1", refused},
	{"ALTER TABLE default.calls UPDATE tenant = 'shop' WHERE 1", refused},
	{"DELETE FROM default.calls WHERE 1", refused},
	{"ALTER TABLE default.calls MODIFY TTL toDateTime(ts) + INTERVAL 1 SECOND", refused},
	{"DROP TABLE calls", refused},
	{"DROP VIEW calls", refused},
	{"DROP DATABASE default_reader_all", refused},
	{"RENAME TABLE calls TO x", refused},
	{"TRUNCATE TABLE default.calls", refused},
	{"OPTIMIZE TABLE default.calls FINAL", refused},
	{"DETACH TABLE calls", refused},
	{"BACKUP TABLE calls TO File('x')", refused},
	{"RESTORE TABLE calls FROM File('x')", refused},
	{"UNDROP TABLE calls", refused},

	// Lifting limits, and using up the machine.
	{"SELECT 1 SETTINGS max_execution_time = 0", refused},
	{"SELECT 1 SETTINGS max_execution_time = 61", refused},
	{"SELECT 1 SETTINGS max_execution_time = 60", "1"}, // as allowed
	{"SELECT 1 SETTINGS readonly = 0", refused},
	{"SELECT 1 SETTINGS max_memory_usage = 0", refused},
	{"SELECT 1 SETTINGS max_rows_to_read = 0", refused},
	{"SELECT 1 SETTINGS max_result_rows = 0", refused},
	{"SELECT * FROM (SELECT sum(number) FROM numbers(1000000000000) SETTINGS max_rows_to_read = 0)", refused},
	{"SELECT * FROM (SELECT sum(number), getSetting('max_execution_time') FROM numbers(1000000000000) SETTINGS max_rows_to_read = 0, readonly = 0)", refused},
	{"SELECT * FROM (SELECT file('/etc/passwd') SETTINGS readonly = 0)", refused},
	{"WITH x AS (SELECT count() FROM calls, numbers(10000000) SETTINGS max_rows_to_read = 0, max_execution_time = 0, max_memory_usage = 0) SELECT * FROM x UNION ALL SELECT sum(number) FROM numbers(1000000000000)", refused},
	{"SELECT 1 SETTINGS allow_ddl = 1, allow_introspection_functions = 1", refused},
	{"SELECT 1 SETTINGS additional_table_filters = {'calls': '1'}", refused},
	{"SELECT 1 SETTINGS enable_analyzer = 0", refused},
	{"SELECT getSetting('readonly'), getSetting('max_execution_time') > 0 SETTINGS profile = 'default'", "1\t1"},
	{"SELECT sum(number) FROM numbers(1000000000000) SETTINGS profile = 'default'", refused},
	{"SELECT sum(number) FROM numbers(1000000000000) SETTINGS profile = 'app'", refused},
	{"SET max_execution_time = 0", refused},
	{"SET readonly = 0", refused},
	{"SET profile = 'app'", refused},
	{"SELECT sum(number) FROM numbers(1000000000000)", refused},
	{"SELECT sum(number) FROM numbers_mt(1000000000000)", refused},
	{"SELECT count() FROM system.numbers", refused},
	{"SELECT sum(a.number) FROM generateSeries(0, 1000000000000) AS a", refused},
	{"SELECT count() FROM zeros(1000000000000)", refused},
	{"SELECT groupArray(repeat('x', 1000000)) FROM numbers(10000)", refused},
	{"SELECT range(1000000000)", refused},
	{"SELECT * FROM numbers(10000000)", refused},
	{"SELECT sleepEachRow(3) FROM numbers(100)", refused},
	{"SELECT addressToLine(1)", refused},
	{"SELECT count() FROM calls AS a CROSS JOIN calls AS b CROSS JOIN calls AS c CROSS JOIN calls AS d SETTINGS max_execution_time = 1", refused},
}

func TestReadersReachNothingElse(t *testing.T) {
	e, app := withReaders(t)
	o := schema.ReaderOptions(e.Options(), readerOfShop)
	for i, a := range attacks {
		if i%200 == 199 {
			t.Fatal("the quota would end this: ask as two readers")
		}
		got, err := answer(o, a.sql)
		got = strings.TrimSpace(got)
		switch {
		case err != nil && clickhouse.Code(err) == 0:
			t.Errorf("%s\n\tended without an answer of the server: %v", a.sql, err)
		case strings.Contains(got, otherTenant) && !strings.Contains(a.sql, otherTenant), strings.Contains(got, otherSecret):
			t.Errorf("%s\n\tshows rows of others: %.300s", a.sql, got)
		case (a.want == refused) != (err != nil) && a.want != harmless:
			t.Errorf("%s\n\tgot %.300q and %v, want %s", a.sql, got, err, a.want)
		case a.want != refused && a.want != harmless && got != a.want:
			t.Errorf("%s\n\tgot %.300q, want %q", a.sql, got, a.want)
		}
	}
	if e.Restarts() != 0 {
		t.Errorf("the engine was started again %d times", e.Restarts())
	}
	var rows, other uint64
	if err := app.QueryRow(context.Background(), "SELECT count(), countIf(tenant = 'wifi-tenant') FROM calls").Scan(&rows, &other); err != nil || rows != 3000 || other != 1000 {
		t.Errorf("%d rows, %d of others and %v afterwards, want 3000 and 1000", rows, other, err)
	}
}

// TestRandomQuestionsShowNoOthers asks questions from a grammar that mixes all that
// a query can do to rows. Two readers take turns, so that the quota lasts.
func TestRandomQuestionsShowNoOthers(t *testing.T) {
	e, _ := withReaders(t)
	const seed, questions = 7, 1000
	g := grammar{rand.New(rand.NewPCG(seed, 0))}
	var clients []*clickhouse.Client
	for _, r := range []schema.Reader{readerOfShop, alsoOfShop} {
		clients = append(clients, open(t, schema.ReaderOptions(e.Options(), r)))
	}
	answered := 0
	for i := range questions {
		sql := g.query(i % 3)
		var rows []struct {
			Tenant, Function string
			N                uint64
		}
		err := clients[i%len(clients)].Select(context.Background(), &rows, sql)
		shown := fmt.Sprint(rows)
		switch {
		case strings.Contains(shown, otherTenant) || strings.Contains(shown, otherSecret):
			t.Fatalf("%s\nshows rows of others:\n%s", sql, shown)
		case err != nil && (clickhouse.Code(err) == 0 || strings.Contains(err.Error(), "leak")):
			t.Fatalf("%s\ncomputed something about rows of others, or ended without an answer: %v", sql, err)
		case err != nil:
			t.Logf("%s\n%v", sql, err)
		case len(rows) > 0:
			answered++
		}
	}
	if answered < questions/2 {
		t.Errorf("%d of %d questions had rows: the grammar makes nonsense", answered, questions)
	}
}

type grammar struct{ r *rand.Rand }

func (g grammar) one(of ...string) string { return of[g.r.IntN(len(of))] }

// query gives the columns tenant, function and n.
func (g grammar) query(depth int) string {
	q := "SELECT tenant AS Tenant, function AS Function, toUInt64(" + g.one("count()", "uniq(function)", "max(length(function))") + ") AS N FROM " + g.source(depth) +
		g.one("", " WHERE "+g.condition(depth), " WHERE "+g.condition(depth)+g.one(" AND ", " OR ")+g.condition(depth)) +
		" GROUP BY tenant, function" + g.one("", " WITH ROLLUP", " WITH TOTALS", " HAVING "+g.one("N > 0", "tenant != ''"))
	if g.r.IntN(3) == 0 {
		q += " ORDER BY " + g.one("tenant", "N DESC", "function") + g.one("", " LIMIT 5", " LIMIT 2 BY tenant")
	}
	return q
}

func (g grammar) source(depth int) string {
	table := g.one("calls", "calls_10s", "calls_1m", "calls_1h", "default_reader_shop.calls", "merge(currentDatabase(), '^calls$')")
	if depth == 0 {
		return table
	}
	switch g.r.IntN(6) {
	case 0:
		return "(SELECT Tenant AS tenant, Function AS function FROM (" + g.query(depth-1) + "))"
	case 1:
		return "(SELECT tenant, function FROM " + g.source(depth-1) + " UNION ALL SELECT tenant, function FROM " + g.source(depth-1) + ")"
	case 2:
		return fmt.Sprintf("(SELECT %[1]s.tenant AS tenant, %[1]s.function AS function FROM (SELECT DISTINCT tenant, function FROM %[2]s) AS a %[3]s JOIN (SELECT DISTINCT tenant, function FROM %[4]s) AS b ON a.function = b.function)",
			g.one("a", "b"), g.source(depth-1), g.one("INNER", "LEFT", "RIGHT", "FULL"), g.source(depth-1))
	case 3:
		return "view(SELECT tenant, function FROM " + g.source(depth-1) + ")"
	}
	return table
}

func (g grammar) condition(depth int) string {
	switch g.r.IntN(9) {
	case 0:
		return "tenant = 'wifi-" + g.one("tenant", "x") + "'"
	case 1:
		return "tenant != " + g.one("'shop'", "''", "function")
	case 2:
		return "tenant LIKE '" + g.one("%i%", "%", "w%") + "'"
	case 3:
		return "throwIf(tenant = concat('wifi', '-tenant'), 'leak') = 0"
	case 4:
		return "intDiv(1, function != 'otherssecret') = 1"
	case 5:
		return g.one("NOT ", "") + "(" + g.one("1", "function > ''", "empty(tenant)") + ")"
	case 6:
		if depth > 0 {
			return "tenant " + g.one("IN", "NOT IN") + " (SELECT tenant FROM " + g.source(depth-1) + ")"
		}
	case 7:
		if depth > 0 {
			return "(SELECT count() FROM " + g.source(depth-1) + ") " + g.one(">", "=") + " 0"
		}
	}
	return "function = '" + g.one("feed", "otherssecret") + "'"
}
