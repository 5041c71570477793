package lean_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/loadtest/lean"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func request(t testing.TB, method, url, body string) *lean.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-mark", "run-1")
	out, err := lean.Make(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func client(t testing.TB) *lean.Client {
	c := lean.New(20*time.Second, 1<<20, (&net.Dialer{}).DialContext)
	t.Cleanup(c.Close)
	return c
}

// Whatever a server of net/http answers is understood, on as few connections as it
// allows.
func TestAnswers(t *testing.T) {
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-mark") != "run-1" || r.Host == "" {
			t.Errorf("got header %v", r.Header)
		}
		got, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/plain":
			fmt.Fprint(w, "hello")
		case "/echo":
			_, _ = w.Write(got)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/moved":
			http.Redirect(w, r, "/plain", http.StatusFound)
		case "/chunks":
			for range 3 {
				fmt.Fprint(w, strings.Repeat("x", 1000))
				w.(http.Flusher).Flush()
			}
		case "/trailer":
			w.Header().Set("Trailer", "x-after")
			fmt.Fprint(w, "body")
			w.(http.Flusher).Flush()
			w.Header().Set("x-after", "1")
		case "/hint":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		case "/large":
			_, _ = w.Write(make([]byte, 300_000))
		case "/bye":
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "bye")
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c, w := client(t), &lean.Worker{}
	for range 2 {
		for _, x := range []struct {
			method, path, body string
			status             int
			bytes              uint64
		}{
			{"GET", "/plain", "", 200, 5},
			{"HEAD", "/plain", "", 200, 0},
			{"POST", "/echo", "some text", 200, 9},
			{"GET", "/none", "", 204, 0},
			{"GET", "/chunks", "", 200, 3000},
			{"GET", "/trailer", "", 200, 4},
			{"GET", "/hint", "", 418, 0},
			{"GET", "/large", "", 200, 300_000},
			{"GET", "/moved", "", 302, 29},
			{"GET", "/bye", "", 200, 3},
		} {
			a, err := c.Exchange(t.Context(), w, request(t, x.method, s.URL+x.path, x.body))
			if err != nil || a.Status != x.status || a.Bytes != x.bytes {
				t.Errorf("%s %s: %+v, %v; want %d and %d bytes", x.method, x.path, a, err, x.status, x.bytes)
			}
		}
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want a new one after each goodbye: 2", n)
	}
}

// A kept connection that was closed meanwhile is no fault of the next request; a
// request that may have been carried out is not sent twice.
func TestKeptConnectionIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var requests atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			// One answer a connection; the next request is read, and the door shut.
			in := bufio.NewReader(conn)
			for i := range 2 {
				r, err := http.ReadRequest(in)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, r.Body)
				requests.Add(1)
				if i == 0 {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}
			_ = conn.Close()
		}
	}()
	url := "http://" + l.Addr().String()
	c, w := client(t), &lean.Worker{}
	for i := range 3 {
		if a, err := c.Exchange(t.Context(), w, request(t, "GET", url, "")); err != nil || a.Status != 200 {
			t.Errorf("%d: %+v, %v", i, a, err)
		}
	}
	if n := requests.Load(); n != 5 { // the second and the third were sent twice
		t.Errorf("%d requests, want 5", n)
	}
	if _, err := c.Exchange(t.Context(), w, request(t, "POST", url, "x")); !errors.Is(err, io.EOF) {
		t.Errorf("a POST on a closed connection: %v, want EOF", err)
	}
	if n := requests.Load(); n != 6 {
		t.Errorf("%d requests, want 6", n)
	}
}

func TestTimeoutAndEnd(t *testing.T) {
	arrived := make(chan struct{}, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	defer s.Close()
	quick := lean.New(50*time.Millisecond, 100, (&net.Dialer{}).DialContext)
	defer quick.Close()
	if _, err := quick.Exchange(t.Context(), &lean.Worker{}, request(t, "GET", s.URL, "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t)
	ended := make(chan error)
	go func() {
		_, err := c.Exchange(ctx, &lean.Worker{}, request(t, "GET", s.URL, ""))
		ended <- err
	}()
	<-arrived
	cancel()
	if err := <-ended; err == nil {
		t.Error("an exchange outlived its run")
	}
	if _, err := c.Exchange(ctx, &lean.Worker{}, request(t, "GET", s.URL, "")); err == nil {
		t.Error("an exchange began after the end")
	}
}

// answers are understood as net/http does, or refused.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200\r\n\r\nall of it",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nconnection: close, x\r\n\r\nabc",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := lean.Understand(bytes.NewReader(text), 1<<20)
		want, wantErr := readAsNetHTTP(text)
		if err == nil && wantErr == nil && got != want {
			t.Errorf("%q is %+v, net/http says %+v", text, got, want)
		}
		if err == nil && wantErr != nil && strings.HasPrefix(wantErr.Error(), "unexpected EOF") {
			t.Errorf("%q is taken for whole, net/http says %v", text, wantErr)
		}
	})
}

func readAsNetHTTP(text []byte) (a lean.Answer, err error) {
	in := bufio.NewReader(bytes.NewReader(text))
	r := &http.Request{Method: http.MethodGet}
	for {
		res, err := http.ReadResponse(in, r)
		if err != nil {
			return a, err
		}
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode >= 200 || err != nil {
			return lean.Answer{Status: res.StatusCode, Bytes: uint64(n)}, err
		}
	}
}
