package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
)

const (
	recommendToken = "recommend-token-0123456789"
	railToken      = "rail-token-0123456789abcdef"
	wholeToken     = "whole-token-0123456789abcdef"
)

// get asks as the reader with the token.
func (c caller) get(path string, q url.Values, token string, out any) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+c.system.Addresses().API+"/api/v1"+path+"?"+q.Encode(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.do(req, out)
}

// TestReadersSeeTheirTenants asks every question as readers of different tenants, with
// any parameters: none ever gives a row of somebody else's.
func TestReadersSeeTheirTenants(t *testing.T) {
	cfg := testConfig(t)
	cfg.Readers = []config.Reader{
		{Name: "recommend", Tenants: []string{"recommend"}, Token: recommendToken},
		{Name: "rail", Tenants: []string{"rail"}, Token: railToken},
		{Name: "whole", Tenants: []string{"*"}, Token: wholeToken},
	}
	lines := newGatewayLog(t, cfg)
	c := caller{t: t, system: start(t, cfg, app.PartCollector, app.PartAPI), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	views := map[string]*watch{}
	for _, token := range []string{recommendToken, railToken, wholeToken, ""} {
		views[token] = c.watchCalls(ctx, "past=1000", token)
		views[token].isLive(t, "collector")
	}
	lines.write(500)
	c.eventually("stored", func() bool { return c.system.CollectorStats().Stored == 500 })
	t.Run("live", func(t *testing.T) {
		views[recommendToken].once(t, feeds, 500)
		views[railToken].once(t, func(n int) bool { return !feeds(n) }, 500)
		views[wholeToken].once(t, all, 500)
		views[""].once(t, all, 500)
	})
	t.Run("sums", c.tenantSums)
	t.Run("any parameters", c.tenantsFuzzed)
	t.Run("sql", c.tenantSQL)
	t.Run("who may not", c.mayNot)
	if n := c.system.Info(t.Context()).ClickHouseRestarts; n != 0 {
		t.Errorf("clickhouse was started again %d times", n)
	}
}

// tenantSums wants the exact sums of each reader's tenants.
func (c caller) tenantSums(t *testing.T) {
	c.t = t
	for token, want := range map[string]uint64{recommendToken: 450, railToken: 50, wholeToken: 500, "": 500} {
		since := url.Values{"since": {time.Now().Add(-2 * time.Hour).Format(time.RFC3339)}}
		var calls app.CallList
		var single, rolled app.Top
		var rate app.Rate
		var sample app.Sample
		with := func(more ...string) url.Values {
			q := url.Values{"since": since["since"]}
			for i := 0; i < len(more); i += 2 {
				q.Set(more[i], more[i+1])
			}
			return q
		}
		for _, status := range []int{
			c.get("/calls", with("limit", "10000"), token, &calls), c.get("/calls/top", with("by", "path", "limit", "1000"), token, &single),
			c.get("/calls/top", with("by", "tenant"), token, &rolled), c.get("/calls/rate", with("step", "10m"), token, &rate),
			c.get("/calls/sample", with("calls", "60"), token, &sample),
		} {
			if status != http.StatusOK {
				t.Fatalf("%q: status %d", token, status)
			}
		}
		sums := []uint64{uint64(len(calls.Calls)), 0, 0, 0}
		for _, r := range single.Rows {
			sums[1] += r.Calls
		}
		for _, r := range rolled.Rows {
			sums[2] += r.Calls
		}
		for _, p := range rate.Points {
			sums[3] += p.Calls
		}
		for i, n := range sums {
			if n != want {
				t.Errorf("%q, question %d: %d calls, want %d", token, i, n, want)
			}
		}
		c.sampled(token, sample, int(want))
		if single.Source != "calls" || rolled.Source == "calls" || rate.Source == "calls" {
			t.Errorf("answered by %s, %s and %s", single.Source, rolled.Source, rate.Source)
		}
	}
}

// sampled wants about 60 calls that stand for about all of the reader's, every
// function and status among them, and the same ones again.
func (c caller) sampled(token string, sample app.Sample, all int) {
	c.t.Helper()
	stand, kinds := 0, map[string]bool{}
	for _, call := range sample.Calls {
		stand += int(call.SampleWeight)
		kinds[fmt.Sprint(call.Function, call.Status)] = true
		if token == recommendToken && call.Tenant != "recommend" || token == railToken && call.Tenant != "rail" {
			c.t.Errorf("%q: a call of %s in the sample", token, call.Tenant)
		}
	}
	if n := len(sample.Calls); n < min(all, 30) || n > 100 || stand < all/3 || stand > 3*all {
		c.t.Errorf("%q: %d calls for %d, of %d", token, n, stand, all)
	}
	var whole app.CallList
	var again app.Sample
	q := url.Values{"since": {time.Now().Add(-2 * time.Hour).Format(time.RFC3339)}, "limit": {"10000"}, "calls": {"60"}}
	c.get("/calls", q, token, &whole)
	for _, call := range whole.Calls {
		if kind := fmt.Sprint(call.Function, call.Status); !kinds[kind] {
			c.t.Errorf("%q: no call of %s in the sample", token, kind)
			kinds[kind] = true
		}
	}
	c.get("/calls/sample", q, token, &again)
	if len(again.Calls) != len(sample.Calls) || len(again.Calls) > 0 && again.Calls[0].RequestID != sample.Calls[0].RequestID {
		c.t.Errorf("%q: another sample of %d calls", token, len(again.Calls))
	}
}

// tenantsFuzzed asks with parameters that mean to get around the limits.
func (c caller) tenantsFuzzed(t *testing.T) {
	c.t = t
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{
		"function", "tenant", "revision", "zone", "pod", "gateway", "consumer", "method", "host", "path_prefix", "path", "status",
		"limited_by", "min_duration", "request_id", "trace_id", "load_run", "load_test", "since", "until", "slowest", "limit", "by", "sort", "step",
	}
	values := []string{
		"recommend", "rail", "feed", "tour", "r1", "zb-a", "GET", "/p", "h.example", "x' OR 1=1 --", `\' OR tenant != \'`, "') OR (1=1", "{tenant:String}",
		"tenant = 'rail'", "5xx", ">=0", "1us", "true", "10000", "tenant", "path", "calls", "1h", "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z",
		callID(9), callID(10), "00000000000000000000000000000004", "\x00", "中\xff", "any", "*", "",
	}
	answered := 0
	for range 120 {
		q := url.Values{}
		for range 1 + r.IntN(5) {
			q.Set(names[r.IntN(len(names))], values[r.IntN(len(values))])
		}
		token, foreign := recommendToken, "rail"
		if r.IntN(2) == 0 {
			token, foreign = railToken, "recommend"
		}
		function := map[string]string{"rail": "tour", "recommend": "feed"}[foreign]
		path := []string{"/calls", "/calls/top", "/calls/errors", "/calls/rate", "/function-logs"}[r.IntN(5)]
		var text string
		status := c.get(path, q, token, &text)
		if status == http.StatusOK {
			answered++
		}
		var a struct {
			Calls  []app.Call       `json:"calls"`
			Rows   []app.TopRow     `json:"rows"`
			By     string           `json:"by"`
			Errors []app.ErrorGroup `json:"errors"`
			Points []app.RatePoint  `json:"points"`
		}
		if status == http.StatusOK && json.Unmarshal([]byte(text), &a) != nil || status >= 500 {
			t.Fatalf("%s?%s: status %d, %s", path, q.Encode(), status, text)
		}
		for _, call := range a.Calls {
			if call.Tenant == foreign {
				t.Fatalf("%s?%s gave a call of %s", path, q.Encode(), foreign)
			}
		}
		most, n := map[string]uint64{"rail": 450, "recommend": 50}[foreign], uint64(0)
		for _, row := range a.Rows {
			n += row.Calls
			if a.By == "tenant" && row.Key == foreign || a.By == "function" && row.Key == function {
				t.Fatalf("%s?%s gave %+v", path, q.Encode(), row)
			}
		}
		for _, g := range a.Errors {
			if g.Function == function {
				t.Fatalf("%s?%s gave %+v", path, q.Encode(), g)
			}
		}
		for _, p := range a.Points {
			n += p.Calls
		}
		if n > most {
			t.Fatalf("%s?%s counted %d calls, want %d at most", path, q.Encode(), n, most)
		}
	}
	if answered < 20 {
		t.Errorf("only %d of the questions were answered", answered)
	}
}

// tenantSQL looks past the limits with SQL.
func (c caller) tenantSQL(t *testing.T) {
	c.t = t
	for _, table := range []string{"calls", "calls_10s", "calls_1m", "calls_1h"} {
		if status, got, _ := c.answer("SELECT DISTINCT tenant FROM "+table, "tsv", railToken); status != 200 || got != "tenant\nrail\n" {
			t.Errorf("%s: status %d, %q", table, status, got)
		}
	}
	for _, query := range []string{
		"SELECT DISTINCT tenant FROM default.calls", "SELECT count() FROM default.calls_1h", "SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", "SELECT * FROM remote('127.0.0.1', 'default', 'calls')", "SELECT * FROM merge('default', 'calls')",
		"SELECT * FROM mergeTreeIndex('default', 'calls')", "SELECT * FROM calls SETTINGS readonly = 0", "SET readonly = 0", "CREATE TABLE x (a Int8) ENGINE = Memory",
		"INSERT INTO calls (tenant) VALUES ('rail')", "SYSTEM FLUSH LOGS", "SELECT * FROM calls SETTINGS additional_table_filters = {'calls': '1'}",
	} {
		status, got, _ := c.answer(query, "tsv", railToken)
		if status == 200 || status >= 500 || strings.Contains(got, "recommend\n") {
			t.Errorf("%s: status %d, %.200s", query, status, got)
		}
	}
	status, got, trailer := c.answer("SELECT a.path FROM calls AS a, calls AS b, calls AS c, calls AS d", "tsv", wholeToken)
	if text := got + trailer.Get(app.TrailerError); status == 200 && trailer.Get(app.TrailerError) == "" || !strings.Contains(text, "narrow the question") {
		t.Errorf("too many rows: status %d, %v, %.300s", status, trailer, got)
	}
}

// mayNot tries who may not ask, and what readers may not.
func (c caller) mayNot(t *testing.T) {
	c.t = t
	for _, token := range []string{"wrong", recommendToken[1:], "x" + railToken, "operator", " "} {
		for _, path := range []string{"/calls", "/calls/tail", "/calls/health"} {
			if status := c.get(path, nil, token, nil); status != http.StatusUnauthorized {
				t.Errorf("%s with token %q: status %d", path, token, status)
			}
		}
		if status, _, _ := c.answer("SELECT 1", "json", token); status != http.StatusUnauthorized {
			t.Errorf("sql with token %q: status %d", token, status)
		}
	}
	if status := c.get("/calls/health", nil, railToken, nil); status != http.StatusForbidden {
		t.Errorf("a reader asks for what is the operator's: status %d", status)
	}
	var text string
	if status := c.get("/calls", url.Values{"tenant": {"recommend"}}, railToken, &text); status != http.StatusForbidden || !strings.Contains(text, "sees the calls of rail") {
		t.Errorf("another tenant: status %d, %s", status, text)
	}
	for header, value := range map[string]string{"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1", "Host": "evil.example"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.system.Addresses().API+"/api/v1/calls", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header, value)
		if header == "Host" {
			req.Host = value
		}
		if status := c.do(req, nil); status != http.StatusUnauthorized {
			t.Errorf("%s: %s without a token: status %d", header, value, status)
		}
	}
}
