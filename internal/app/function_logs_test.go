package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/collector/otlp"
	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/fnlog"
)

// sendLog sends one log record of a function as a pod would: OTLP in JSON.
func (c caller) sendLog(function, severity, body string, record string) {
	c.t.Helper()
	text := fmt.Sprintf(`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}},{"key":"service.namespace","value":{"stringValue":"recommend"}}]},
	"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d","severityNumber":%s,"body":{"stringValue":%q}%s}]}]}]}`, function, time.Now().UnixNano(), severity, body, record)
	res, err := c.client.Post("http://"+c.system.Addresses().OTLPHTTP+"/v1/logs", "application/json", bytes.NewReader([]byte(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		c.t.Fatalf("%d %s", res.StatusCode, answer)
	}
}

// TestFunctionLogs: a pod behind a real gateway logs by the ids that it was given,
// and either id finds what it logged.
func TestFunctionLogs(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
	var mu sync.Mutex
	var got http.Header
	pod := func() string {
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("x-request-id") != "" {
				got = r.Header
			}
		}))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	cfg := testConfig(t)
	write(t, cfg.ResourcesDir, "feed.yaml", feed(pod(), pod(), pod()))
	system := start(t, cfg)
	if err := system.WaitLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := caller{t: t, system: system, client: client}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	if _, status := c.call("traceparent", "00-"+trace+"-00f067aa0ba902b7-01"); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	mu.Lock()
	request, parent := got.Get("x-request-id"), got.Get("traceparent")
	mu.Unlock()
	if request == "" || !strings.Contains(parent, trace) {
		t.Fatalf("the pod was given request id %q and traceparent %q", request, parent)
	}
	c.sendLog("feed", "17", "by trace", `,"traceId":"`+trace+`","spanId":"00f067aa0ba902b7"`)
	c.sendLog("feed", "9", "by request", `,"attributes":[{"key":"request_id","value":{"stringValue":"`+request+`"}}]`)
	c.sendLog("other", "13", "something else", "")
	bodies := func(query url.Values) []string {
		var list app.FunctionLogs
		if status := c.api("GET", "/function-logs?"+query.Encode(), nil, &list); status != http.StatusOK {
			t.Fatalf("%v: status %d", query, status)
		}
		var all []string
		for _, l := range list.Logs {
			all = append(all, l.Body)
		}
		return all
	}
	c.eventually("records and call are stored", func() bool {
		var list app.CallList
		c.api("GET", "/calls?request_id="+request, nil, &list)
		return len(list.Calls) == 1 && len(bodies(nil)) == 3
	})
	for _, q := range []struct {
		query url.Values
		want  string
	}{
		{url.Values{"request_id": {request}}, "by trace,by request"},
		{url.Values{"trace_id": {trace}}, "by trace,by request"},
		{url.Values{"function": {"feed"}}, "by trace,by request"},
		{url.Values{"function": {"feed"}, "severity": {"warn"}}, "by trace"},
		{url.Values{"severity": {"warn"}}, "by trace,something else"},
		{url.Values{"text": {"BY "}, "limit": {"1"}}, "by request"},
		{url.Values{"tenant": {"recommend"}, "function": {"other"}}, "something else"},
		{url.Values{"request_id": {"f5a1c1d2-8a47-4b6c-9d51-0c7d7a1c0f5e"}}, ""},
		{url.Values{"until": {time.Now().Add(-time.Hour).Format(time.RFC3339)}, "since": {time.Now().Add(-2 * time.Hour).Format(time.RFC3339)}}, ""},
	} {
		if have := strings.Join(bodies(q.query), ","); have != q.want {
			t.Errorf("%v: %s, want %s", q.query, have, q.want)
		}
	}
	var problem struct{ Detail string }
	if status := c.api("GET", "/function-logs?function=fed", nil, &problem); status != http.StatusNotFound || !strings.Contains(problem.Detail, "did you mean feed?") {
		t.Errorf("%d %s", status, problem.Detail)
	}
	if status := c.api("GET", "/function-logs?trace_id=xyz", nil, &problem); status != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", status, problem.Detail)
	}
}

// TestFunctionLogLookups: one record among many is found by either id, also through
// its call, without reading the others.
func TestFunctionLogLookups(t *testing.T) {
	system := start(t, testConfig(t), app.PartCollector, app.PartAPI)
	c := caller{t: t, system: system, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	const rows = 300_000
	for _, insert := range []string{
		`INSERT INTO function_logs (ts, tenant, function, body, request_id, trace_id) SELECT now64(9) - toIntervalMillisecond(number), 'recommend', 'feed', toString(number),
			if(number %% 2 = 0, toUUID('00000000-0000-0000-0000-000000000000'), reinterpretAsUUID(sipHash128(number))),
			if(number %% 2 = 1, toFixedString('', 16), sipHash128(number, 1)) FROM numbers(%d)`,
		`INSERT INTO calls (ts, tenant, function, request_id, trace_id, status) SELECT now64(6) - toIntervalMillisecond(number), 'recommend', 'feed',
			reinterpretAsUUID(sipHash128(number)), sipHash128(number, 1), 200 FROM numbers(%d)`,
	} {
		if err := system.ClickHouse().Exec(t.Context(), fmt.Sprintf(insert, rows)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1, 2, 150_001, 150_002} { // odd ones know their request, even ones their trace
		var request, trace string
		err := system.ClickHouse().QueryRow(t.Context(), "SELECT toString(reinterpretAsUUID(sipHash128(toUInt64($1)))), lower(hex(sipHash128(toUInt64($1), 1)))", n).Scan(&request, &trace)
		if err != nil {
			t.Fatal(err)
		}
		for _, query := range []url.Values{{"request_id": {request}}, {"trace_id": {trace}}} {
			var list app.FunctionLogs
			if status := c.api("GET", "/function-logs?"+query.Encode(), nil, &list); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			if len(list.Logs) != 1 || list.Logs[0].Body != fmt.Sprint(n) {
				t.Errorf("%d by %v: %v", n, query, list.Logs)
			}
			if list.RowsRead >= rows { // some granules of each table; more at once on a slow machine, never all of one
				t.Errorf("%d by %v: %d rows read of %d", n, query, list.RowsRead, 2*rows)
			}
		}
	}
}

// TestReplayFunctionLogs: refused blocks of log records lie beside those of calls,
// and are shown and sent again with them, whether a system runs or not.
func TestReplayFunctionLogs(t *testing.T) {
	cfg := testConfig(t)
	deadLetter(t, cfg.DataDir, "w/1", 3)
	deadLogs(t, cfg.DataDir, "l/1", 4)
	deadLogs(t, cfg.DataDir, "l/2", 5)
	r, err := app.ReplayOffline(t.Context(), cfg, slog.New(slog.DiscardHandler), []string{"l/1"})
	if err != nil || len(r.Letters) != 1 || r.Letters[0] != (ship.Replayed{Token: "l/1", Rows: 4, Stored: 4}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if status, err := app.CollectorOnDisk(cfg.DataDir); err != nil || status.DeadLetters != 2 || status.DeadRows != 8 {
		t.Errorf("%+v, %v", status, err)
	}
	system := start(t, cfg, app.PartCollector, app.PartAPI)
	c := caller{t: t, system: system, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	var dead app.DeadLetters
	if code := c.api("GET", "/collector/dead", nil, &dead); code != 200 || len(dead.Letters) != 2 || dead.Letters[0].Table != "calls" || dead.Letters[1].Table != fnlog.Table {
		t.Errorf("%d: %+v", code, dead)
	}
	if code := c.api("POST", "/collector/replay", app.ReplayRequest{Tokens: []string{"l/9"}}, nil); code != 404 {
		t.Errorf("an unknown token answers %d", code)
	}
	var again app.ReplayResult
	if code := c.api("POST", "/collector/replay", app.ReplayRequest{}, &again); code != 200 || len(again.Letters) != 2 || again.Letters[0].Stored != 3 || again.Letters[1].Stored != 5 || again.Error != "" {
		t.Fatalf("%d: %+v", code, again)
	}
	var list app.FunctionLogs
	if c.api("GET", "/function-logs?function=feed", nil, &list); len(list.Logs) != 9 {
		t.Errorf("%d log records, want 9", len(list.Logs))
	}
}

// deadLogs leaves a block of so many log records in the folder of a receiver.
func deadLogs(t *testing.T, data, token string, records int) {
	t.Helper()
	b := fnlog.NewBlock()
	for i := range records {
		b.Append(&fnlog.Record{Time: time.Now().UnixNano(), Function: []byte("feed"), Body: fmt.Appendf(nil, "%s/%d", token, i)})
	}
	block, err := b.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(data, "collector", otlp.DeadDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	letter, err := json.Marshal(ship.DeadLetter{
		Token: token, Table: fnlog.Table, Rows: records, MinTime: time.Now(), MaxTime: time.Now(), Revision: fnlog.Revision, Reason: "for the test",
	})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(token, "/", "-")
	write(t, dir, name+".block", string(block))
	write(t, dir, name+".json", string(letter))
}
