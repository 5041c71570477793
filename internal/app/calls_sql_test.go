package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/app"
)

// sql asks and returns the answer, which the caller closes.
func (c caller) sql(ctx context.Context, query, format, token string, trailers bool) *http.Response {
	c.t.Helper()
	b, _ := json.Marshal(app.SQLQuery{Query: query, Format: format}) // strings have a JSON form
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.system.Addresses().API+"/api/v1/sql", bytes.NewReader(b))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if trailers {
		req.Header.Set("TE", "trailers")
	}
	res, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// answer is a whole answer.
func (c caller) answer(query, format, token string) (status int, body string, trailer http.Header) {
	c.t.Helper()
	res := c.sql(c.t.Context(), query, format, token, true)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Trailer
}

// manyCalls stores n calls of half a kilobyte.
func (c caller) manyCalls(n int) {
	c.t.Helper()
	err := c.system.ClickHouse().Exec(c.t.Context(), fmt.Sprintf(`INSERT INTO calls (ts, request_id, tenant, function, path, status, sample_weight)
SELECT now64(6) - toIntervalMicrosecond(number), generateUUIDv4(), 'recommend', 'feed', concat('/', toString(number), repeat('x', 500)), 200, 1 FROM numbers(%d)`, n))
	if err != nil {
		c.t.Fatal(err)
	}
}

// TestSQL asks with SQL through the API.
func TestSQL(t *testing.T) {
	cfg := testConfig(t)
	c := caller{t: t, system: start(t, cfg, app.PartCollector, app.PartAPI), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	c.manyCalls(200_000)
	t.Run("formats", c.sqlFormats)
	t.Run("large", c.sqlLarge)
	t.Run("cancel", c.sqlCancel)
	t.Run("errors", c.sqlErrors)
}

func (c caller) sqlFormats(t *testing.T) {
	c.t = t
	const query = `SELECT toUInt64(18446744073709551615) AS big, 'a,"b"` + "\t" + `<&>\n中' AS text, toDateTime64('2026-01-02 03:04:05.000006', 6, 'UTC') AS at,
map('k', 'v') AS m, [1, 2] AS list, CAST(NULL AS Nullable(String)) AS none, toFloat64(0)/0 AS nan, 1.5 AS half, toUUID('00000000-0000-4000-8000-000000000001') AS id,
toIPv6('::1') AS ip, (1, 'x') AS pair, true AS yes, toDecimal64(12.34, 2) AS money, toLowCardinality('lc') AS lc`
	want := map[string]string{
		"json": `{"big":18446744073709551615,"text":"a,\"b\"\t<&>\n中","at":"2026-01-02T03:04:05.000006Z","m":{"k":"v"},"list":[1,2],"none":null,"nan":null,"half":1.5,` +
			`"id":"00000000-0000-4000-8000-000000000001","ip":"::1","pair":[1,"x"],"yes":true,"money":"12.34","lc":"lc"}` + "\n",
		"csv": "big,text,at,m,list,none,nan,half,id,ip,pair,yes,money,lc\r\n" +
			"18446744073709551615,\"a,\"\"b\"\"\t<&>\n中\",2026-01-02T03:04:05.000006Z,\"{\"\"k\"\":\"\"v\"\"}\",\"[1,2]\",,NaN,1.5," +
			"00000000-0000-4000-8000-000000000001,::1,\"[1,\"\"x\"\"]\",true,12.34,lc\r\n",
		"tsv": "big\ttext\tat\tm\tlist\tnone\tnan\thalf\tid\tip\tpair\tyes\tmoney\tlc\n" +
			"18446744073709551615\ta,\"b\"\\t<&>\\n中\t2026-01-02T03:04:05.000006Z\t{\"k\":\"v\"}\t[1,2]\t\\N\tNaN\t1.5\t" +
			"00000000-0000-4000-8000-000000000001\t::1\t[1,\"x\"]\ttrue\t12.34\tlc\n",
	}
	for format, text := range want {
		status, got, trailer := c.answer(query, format, "")
		if status != 200 || got != text || trailer.Get(app.TrailerRows) != "1" || trailer.Get(app.TrailerError) != "" {
			t.Errorf("%s: status %d, trailer %v\n%s\nwant\n%s", format, status, trailer, got, text)
		}
	}
	if status, got, trailer := c.answer("SELECT function FROM calls WHERE function = 'nothing'", "csv", ""); status != 200 || got != "function\r\n" || trailer.Get(app.TrailerRows) != "0" {
		t.Errorf("no rows: status %d, %q, %v", status, got, trailer)
	}
}

// liveHeap is what the last garbage collection left, in bytes.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// sqlLarge exports a hundred megabytes: they are never all in memory.
func (c caller) sqlLarge(t *testing.T) {
	c.t = t
	before := liveHeap()
	res := c.sql(t.Context(), "SELECT * FROM calls", "csv", "", true)
	defer res.Body.Close()
	counted := &counter{from: res.Body}
	rows, highest := 0, uint64(0)
	in := csv.NewReader(bufio.NewReader(counted))
	in.ReuseRecord = true
	for {
		_, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if rows++; rows%1000 == 0 {
			highest = max(highest, liveHeap())
		}
	}
	if rows != 200_001 || res.Trailer.Get(app.TrailerRows) != "200000" || res.Trailer.Get(app.TrailerError) != "" {
		t.Errorf("%d lines, trailer %v", rows, res.Trailer)
	}
	const most = 64 << 20 // blocks of 65,000 rows on their way, and their columns
	if counted.n < 100<<20 || highest > before+most {
		t.Errorf("%d bytes came, the heap grew from %d to %d", counted.n, before, highest)
	}
}

type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// running is how many queries with a mark ClickHouse works on.
func (c caller) running(mark string) (n uint64) {
	c.t.Helper()
	err := c.system.ClickHouse().QueryRow(c.t.Context(), "SELECT count() FROM system.processes WHERE query LIKE '%"+mark+"%' AND query NOT LIKE '%system.processes%'").Scan(&n)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// sqlCancel leaves while a query computes, and while its rows stream: it is gone in
// ClickHouse, and the next ones are answered.
func (c caller) sqlCancel(t *testing.T) {
	c.t = t
	for mark, query := range map[string]string{
		"mark_compute": "SELECT count() AS mark_compute FROM calls AS a, calls AS b WHERE a.path > b.path",
		"mark_stream":  "SELECT a.path AS mark_stream, b.path FROM calls AS a, calls AS b",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			b, _ := json.Marshal(app.SQLQuery{Query: query})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.system.Addresses().API+"/api/v1/sql", bytes.NewReader(b))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			if res, err := c.client.Do(req); err == nil {
				_, _ = io.CopyN(io.Discard, res.Body, 1<<16)
				<-ctx.Done()
				_ = res.Body.Close()
			}
		}()
		c.eventually(mark+" runs", func() bool { return c.running(mark) > 0 })
		cancel()
		<-left
		c.eventually(mark+" is gone", func() bool { return c.running(mark) == 0 })
	}
	if pid := c.system.Info(t.Context()).ClickHouseRestarts; pid != 0 {
		t.Errorf("clickhouse was started again %d times", pid)
	}
	if status, got, _ := c.answer("SELECT 1 AS one", "json", ""); status != 200 || got != "{\"one\":1}\n" {
		t.Errorf("afterwards: status %d, %s", status, got)
	}
}

func (c caller) sqlErrors(t *testing.T) {
	c.t = t
	for _, e := range []struct {
		query  string
		status int
		text   string
	}{
		{"SELEC 1", 422, "Syntax error"},
		{"SELECT nothing FROM calls", 422, "nothing"},
		{"SELECT 1 FROM missing", 422, "missing"},
		{"INSERT INTO calls (function) VALUES ('x')", 403, "may not do that"},
		{"DROP TABLE calls", 403, "may not do that"},
		{"SELECT 1; SELECT 2", 422, "Multi-statements"},
	} {
		status, body, _ := c.answer(e.query, "json", "")
		var p struct {
			Status int    `json:"status"`
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != e.status || p.Status != status || !strings.Contains(p.Detail, e.text) {
			t.Errorf("%s: status %d, %s, want %d with %q", e.query, status, body, e.status, e.text)
		}
	}
	// An error after the first rows: in the trailer, or as a connection that breaks.
	const late = "SELECT throwIf(rowNumberInAllBlocks() = 190000, 'too late') AS x, path FROM calls"
	status, body, trailer := c.answer(late, "csv", "")
	if status != 200 || !strings.Contains(trailer.Get(app.TrailerError), "too late") || !strings.HasPrefix(body, "x,path\r\n0,/") {
		t.Errorf("in the middle: status %d, %d bytes, %v", status, len(body), trailer)
	}
	res := c.sql(t.Context(), late, "csv", "", false)
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("without trailers %d bytes end as if they were all", n)
	}
}
