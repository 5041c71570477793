package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/fnlog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// fakeAPI is a running system that answers with the records at hand, and keeps the
// questions.
type fakeAPI struct {
	mu    sync.Mutex
	lines []fnlog.Line
	asked []string
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.URL.String())
	_ = json.NewEncoder(w).Encode(app.FunctionLogs{Logs: f.lines})
}

func (f *fakeAPI) add(l fnlog.Line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, l)
}

// serveFake returns the data directory of the fake.
func serveFake(t *testing.T, f *fakeAPI) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(app.Addresses{API: strings.TrimPrefix(s.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(app.AddressesFile(dir), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFnLogs(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 5e6, time.Local)
	f := &fakeAPI{lines: []fnlog.Line{{
		Time: at, Function: "feed", Revision: "r1", Severity: 18, Body: "it \x1b[31mbroke", Attrs: map[string]string{"user": "u 1", "a": "b"},
	}}}
	dir := serveFake(t, f)
	var out, errOut testkit.Buffer
	args := []string{"fn", "logs", "feed", "--severity", "error", "--trace", "4bf92f3577b34da6a3ce929d0e0e4736", "--data", dir}
	if code := Main(t.Context(), "test", args, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, &errOut)
	}
	want := "2026-07-01 12:00:00.005  error  feed r1 -  it \uFFFD[31mbroke  a=\"b\" user=\"u 1\"\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	const asked = "/api/v1/function-logs?function=feed&limit=100&severity=error&trace_id=4bf92f3577b34da6a3ce929d0e0e4736"
	if f.asked[0] != asked {
		t.Errorf("asked %s, want %s", f.asked[0], asked)
	}
}

// TestFnLogsFollow: each record is printed once, however often it is in an answer;
// two equal ones are two.
func TestFnLogsFollow(t *testing.T) {
	line := func(body string) fnlog.Line { return fnlog.Line{Time: time.Now().UTC(), Function: "feed", Body: body} }
	first := line("first")
	f := &fakeAPI{lines: []fnlog.Line{first}}
	dir := serveFake(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	var out, errOut testkit.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- Main(ctx, "test", []string{"fn", "logs", "feed", "-f", "-o", "json", "--data", dir}, strings.NewReader(""), &out, &errOut)
	}()
	until := func(lines int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); strings.Count(out.String(), "\n") < lines; {
			if time.Now().After(end) {
				t.Fatalf("not %d lines within 30 s: %s%s", lines, &out, &errOut)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	until(1)
	f.add(line("second"))
	until(2)
	f.add(first)
	f.add(line("third"))
	until(4)
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d: %s", code, &errOut)
	}
	var bodies []string
	for text := range strings.Lines(out.String()) {
		var l fnlog.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, l.Body)
	}
	if got := strings.Join(bodies, ","); got != "first,second,first,third" {
		t.Error(got)
	}
}
