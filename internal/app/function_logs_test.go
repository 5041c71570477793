package app_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
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
