// Package calllogtest runs a real Envoy that logs its calls as gateways do, for
// tests of those who read these logs.
package calllogtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Gateway is an Envoy with the routes of its configuration, a pod behind it and
// a log. It runs until the test ends.
type Gateway struct {
	Addr    string // where it takes HTTP/1
	Admin   string // its admin address
	LogPath string // its access log, written every 10 ms
	Pod     string // the pod's address

	options Options
	dir     string
	cmd     *exec.Cmd
}

// StatPrefix is that of the gateway's connection manager.
const StatPrefix = "test"

// Kill ends Envoy with SIGKILL, and gives the moment.
func (g *Gateway) Kill(t testing.TB) time.Time {
	t.Helper()
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// Start runs an Envoy, node gw-1 in zone zb-a. With als, a host:port, it logs
// there too. Without Envoy installed the test fails.
//
// Routes: /feed answers 200 from the pod; /slow after 0.3 s with a timeout of
// 0.1 s, /hang never; /reset has its connection reset, twice retried; /dead has
// no pod listening; /denied is answered 403 by the gateway; /limited lets one
// request pass and answers 429 to the rest; all else is 404. The header
// x-test-consumer says who calls. The logs keep the headers.
func Start(t testing.TB, als string, headers ...string) *Gateway {
	t.Helper()
	return StartWith(t, Options{ALS: als, Headers: headers})
}

func (g *Gateway) ready(adminFile string) bool {
	admin, err := os.ReadFile(adminFile)
	if err != nil {
		return false
	}
	g.Admin = strings.TrimSpace(string(admin))
	if _, err := g.admin(context.Background(), http.MethodGet, "/ready"); err != nil {
		return false
	}
	listeners, err := g.admin(context.Background(), http.MethodGet, "/listeners")
	_, address, ok := strings.Cut(listeners, "::")
	g.Addr = strings.TrimSpace(address)
	return err == nil && ok
}

// Reopen makes Envoy open its log anew, with the next line it writes.
func (g *Gateway) Reopen(ctx context.Context) error {
	_, err := g.admin(ctx, http.MethodPost, "/reopen_logs")
	return err
}

func (g *Gateway) admin(ctx context.Context, method, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.Admin+path, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return string(body), err
}

// Send writes a request as it is, byte for byte, on its own connection and gives
// the status of the answer.
func (g *Gateway) Send(t testing.TB, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("answer to %.80q: %v", request, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Abandon sends a request and closes the connection once the pod has it.
func (g *Gateway) Abandon(t testing.TB, request string, arrived func() bool) {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	Await(t, "the request arrived", arrived)
}

// Active is how many requests the gateway has in flight to the pod.
func (g *Gateway) Active(t testing.TB) bool {
	t.Helper()
	stats, err := g.admin(context.Background(), http.MethodGet, "/stats?filter=cluster.feed/r1.upstream_rq_active")
	return err == nil && strings.Contains(stats, "upstream_rq_active: 1\n")
}

// Lines waits until the log has n lines and gives what is in it.
func (g *Gateway) Lines(t testing.TB, n int) []string {
	t.Helper()
	var lines []string
	Await(t, fmt.Sprintf("%d lines in the log", n), func() bool {
		text, err := os.ReadFile(g.LogPath)
		lines = strings.SplitAfter(string(text), "\n")
		return err == nil && len(lines) > n && lines[len(lines)-1] == ""
	})
	return lines[:len(lines)-1]
}

// Await polls until ok, for 30 s at most.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// pod answers what the routes of Start promise.
func pod(t testing.TB) string {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/slow":
			select {
			case <-r.Context().Done():
			case <-time.After(300 * time.Millisecond):
			}
		case "/hang":
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		case "/reset":
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "hello")
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(func() {
		close(ended)
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}

// find looks for Envoy: $KONGDAO_ENVOY, the path, .deps/bin of a parent folder.
func find() (string, error) {
	if path := os.Getenv("KONGDAO_ENVOY"); path != "" {
		return path, nil
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path, nil
	}
	dir, err := os.Getwd()
	for err == nil {
		path := filepath.Join(dir, ".deps", "bin", "envoy")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("no envoy: run make deps")
}
