package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/app"
)

// TestMarksNeedTheRight: whoever operates this machine gets it, and nobody else's
// marks count.
func TestMarksNeedTheRight(t *testing.T) {
	t.Parallel()
	pod := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(pod.Close)
	cfg := testConfig(t)
	cfg.Envoy.Canary, cfg.LoadTest.Marks = false, "signed"
	text := patient(strings.TrimPrefix(pod.URL, "http://"), "127.0.0.1:1", "127.0.0.1:2")
	write(t, cfg.ResourcesDir, "feed.yaml", strings.Replace(text, "spec:\n", "spec:\n  loadTest: {refuse: true}\n", 1))
	c := caller{t: t, system: start(t, cfg, app.PartXDS, app.PartGateway, app.PartAPI), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	c.eventually("calls are answered", func() bool { _, status := c.call(); return status == http.StatusOK })
	var mark app.LoadMark
	if status := c.api(http.MethodGet, "/load-mark", nil, &mark); status != http.StatusOK || !strings.HasPrefix(mark.Header, "x-kongdao-mark-") {
		t.Fatalf("%d, %+v", status, mark)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.system.Addresses().API+"/api/v1/load-mark", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "203.0.113.7")
	if status := c.do(req, nil); status != http.StatusForbidden {
		t.Errorf("somebody behind a proxy gets %d", status)
	}
	if _, status := c.call("x-kongdao-load-test", "forged"); status != http.StatusOK {
		t.Errorf("a forged mark gets %d", status)
	}
	if _, status := c.call("x-kongdao-load-test", "lt-1", mark.Header, "1"); status != http.StatusTooManyRequests {
		t.Errorf("a believed mark gets %d", status)
	}
}
