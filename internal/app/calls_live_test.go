package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
)

// gatewayLog writes lines as Envoy does, where the collector of a system looks.
type gatewayLog struct {
	t    *testing.T
	mu   sync.Mutex
	file *os.File
	n    int // lines so far
}

func newGatewayLog(t *testing.T, cfg config.Config) *gatewayLog {
	t.Helper()
	path := filepath.Join(cfg.DataDir, "gateway", "access.log")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &gatewayLog{t: t, file: f}
}

// write appends the next lines: calls of feed, every tenth of them of tour and of
// another tenant, every fifth 503.
func (l *gatewayLog) write(lines int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b bytes.Buffer
	for range lines {
		tenant, function, status := "recommend", "feed", 200
		if l.n%10 == 9 {
			tenant, function = "rail", "tour"
		}
		if l.n%5 == 4 {
			status = 503
		}
		for _, v := range []any{
			"\x1ek1", time.Now().UnixMicro(), 1000 + l.n%500, 1, 700, 900, status, "-", "via_upstream", 1, 10, 100,
			tenant, function, "r1", function + "/0", "zb-a", "127.0.0.1:9101", "127.0.0.1",
		} {
			fmt.Fprintf(&b, "%v\t", v)
		}
		b.WriteString(strings.Join([]string{
			"-", "GET", callID(l.n), fmt.Sprintf("00-%032x-00f067aa0ba902b7-01", l.n/3+1), "-", "h.example", fmt.Sprintf("/p?n=%d", l.n), "test",
		}, "\x1f") + "\n")
		l.n++
	}
	if _, err := l.file.Write(b.Bytes()); err != nil {
		l.t.Error(err)
	}
}

func callID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }

// watch is a live view.
type watch struct {
	calls chan app.Call
	state chan app.TailState
	ended chan error
}

// watchCalls opens a live view, and returns when it is live.
func (c caller) watchCalls(ctx context.Context, query, token string) *watch {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.system.Addresses().API+"/api/v1/calls/tail?"+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: status %d", query, res.StatusCode)
	}
	w := &watch{calls: make(chan app.Call, 100_000), state: make(chan app.TailState, 100), ended: make(chan error, 1)}
	go func() {
		defer res.Body.Close()
		w.ended <- w.read(bufio.NewReader(res.Body))
	}()
	return w
}

func (w *watch) read(in *bufio.Reader) error {
	event := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil
		}
		data, isData := strings.CutPrefix(line, "data: ")
		name, isName := strings.CutPrefix(line, "event: ")
		switch {
		case isName:
			event = strings.TrimSpace(name)
		case isData && event == "call":
			var c app.Call
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				return err
			}
			w.calls <- c
		case isData && event == "state":
			var s app.TailState
			if err := json.Unmarshal([]byte(data), &s); err != nil {
				return err
			}
			select {
			case w.state <- s:
			default:
			}
		case isData:
			return errors.New("event " + event + ": " + data)
		}
	}
}

// once wants n calls, each of them once.
func (w *watch) once(t *testing.T, want func(n int) bool, n int) {
	t.Helper()
	expected := map[string]bool{}
	for i := range n {
		if want(i) {
			expected[callID(i)] = true
		}
	}
	missing := len(expected)
	end := time.After(deadline)
	for missing > 0 {
		select {
		case c := <-w.calls:
			open, known := expected[c.RequestID]
			if !known || !open {
				t.Fatalf("call %s came (wanted %v), %d were missing", c.RequestID, known, missing)
			}
			expected[c.RequestID] = false
			missing--
		case err := <-w.ended:
			t.Fatalf("the stream ended with %d missing: %v", missing, err)
		case <-end:
			t.Fatalf("%d of %d calls missing", missing, len(expected))
		}
	}
	select {
	case c := <-w.calls:
		t.Fatalf("one call too many: %s", c.RequestID)
	default:
	}
}

func (w *watch) isLive(t *testing.T, source string) {
	t.Helper()
	end := time.After(deadline)
	for {
		select {
		case s := <-w.state:
			if s.Source == source && s.Note == "" {
				return
			}
		case <-end:
			t.Fatalf("not live from %s", source)
		}
	}
}

func all(int) bool      { return true }
func feeds(n int) bool  { return n%10 != 9 }
func failed(n int) bool { return n%5 == 4 }

// TestEachCallOnceAcrossTheSeam opens live views while calls come: what was before
// and what comes after is seen once, whether it was in ClickHouse, on its way there
// or not read yet when the view began.
func TestEachCallOnceAcrossTheSeam(t *testing.T) {
	cfg := testConfig(t)
	lines := newGatewayLog(t, cfg)
	c := caller{t: t, system: start(t, cfg, app.PartCollector, app.PartAPI), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	const total = 6000
	type view struct {
		*watch
		want func(int) bool
	}
	var views []view
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range total / 20 {
			lines.write(20)
			<-time.After(5 * time.Millisecond) // the pace of a gateway, not a wait
		}
	}()
	for _, v := range []struct {
		query string
		want  func(int) bool
	}{
		{"past=10000", all},
		{"past=10000&function=feed", feeds},
		{"past=10000&status=" + url.QueryEscape(">=500"), failed},
		{"past=10000&tenant=recommend", feeds},
		{"past=10000", all},
	} {
		views = append(views, view{c.watchCalls(ctx, v.query, ""), v.want})
	}
	<-done
	for _, v := range views {
		v.once(t, v.want, total)
	}
	w := c.watchCalls(ctx, "past=7", "")
	w.isLive(t, "collector")
	if n := len(w.calls); n != 7 {
		t.Errorf("%d stored calls to begin with, want 7", n)
	}
}

// TestLiveBeforeClickHouse stops ClickHouse: live calls come all the same, and those
// from before follow when it is back.
func TestLiveBeforeClickHouse(t *testing.T) {
	cfg := testConfig(t)
	lines := newGatewayLog(t, cfg)
	c := caller{t: t, system: start(t, cfg, app.PartCollector, app.PartAPI), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	lines.write(100)
	c.eventually("stored", func() bool { return c.system.CollectorStats().Stored == 100 })
	pid := c.system.ClickHousePID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume := func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	defer resume()
	lines.write(50)
	c.eventually("durable", func() bool { return c.system.CollectorStats().Unstored == 50 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := c.watchCalls(ctx, "past=1000", "")
	w.isLive(t, "collector")
	lines.write(10)
	for n := 150; n < 160; n++ {
		select {
		case call := <-w.calls:
			if call.RequestID != callID(n) {
				t.Fatalf("%s is live, want %s", call.RequestID, callID(n))
			}
		case <-time.After(deadline):
			t.Fatal("no live call")
		}
	}
	resume()
	w.once(t, func(n int) bool { return n < 150 }, 150)
}

// TestTailWithoutCollector follows calls that another process collects.
func TestTailWithoutCollector(t *testing.T) {
	cfg := testConfig(t)
	lines := newGatewayLog(t, cfg)
	c := caller{t: t, system: start(t, cfg, app.PartCollector, app.PartAPI), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	other := testConfig(t)
	o := c.system.ClickHouse().Options()
	other.ClickHouse.DSN = api.Secret(o.DSN())
	elsewhere := caller{t: t, system: start(t, other, app.PartAPI), client: c.client}
	lines.write(200)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := elsewhere.watchCalls(ctx, "past=1000", "")
	w.isLive(t, "polling")
	for range 10 {
		lines.write(20)
	}
	w.once(t, all, 400)
}
