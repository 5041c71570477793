package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/cli"
	"github.com/kongdao/kongdao/loadtest/report"
)

// TestAStressTestIsStopped by what the running system says, requests in flight
// included, and when the system is gone.
func TestAStressTestIsStopped(t *testing.T) {
	for name, c := range map[string]struct {
		last string // that the system says before it ends the stream
		want string
	}{
		"production breaks":  {"event: stop\ndata: {\"reason\": \"production: feed: 9 of 9 calls failed\"}\n\n", "production: feed: 9 of 9 calls failed"},
		"the system is gone": {"", "production cannot be watched any more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent, left atomic.Int64
			enough := make(chan struct{})
			target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if sent.Add(1) == 20 {
					close(enough)
				}
				<-r.Context().Done() // an answer that never comes
				left.Add(1)
			}))
			defer target.Close()
			system := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/load-mark") {
					fmt.Fprint(w, "{}") // everybody may mark
					return
				}
				if !strings.HasSuffix(r.URL.Path, "/watch") {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "event: beat\ndata: {}\n\n")
				w.(http.Flusher).Flush()
				<-enough
				fmt.Fprint(w, c.last)
			}))
			defer system.Close()
			began := time.Now()
			code, r, stderr := loadRun(t, strings.TrimPrefix(system.URL, "http://"), target.URL)
			if code != 3 || r.Stopped != "production" || r.Valid || !strings.Contains(strings.Join(r.InvalidReasons, "; "), c.want) {
				t.Errorf("exit code %d, stopped %q, %q\n%s", code, r.Stopped, r.InvalidReasons, stderr)
			}
			if took := time.Since(began); took > 50*time.Second {
				t.Errorf("took %v: as long as the plan", took)
			}
		})
	}
}

// loadRun is kongdao load run, with a system whose API listens at an address.
func loadRun(t *testing.T, address, target string) (code int, r report.Result, stderr string) {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(app.Addresses{API: address})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		filepath.Join(dir, "run", "addresses.json"): string(text),
		filepath.Join(dir, "s.yaml"):                fmt.Sprintf("apiVersion: kongdao.io/v1\nkind: Scenario\nmetadata: {name: s}\nspec:\n  targets: [{method: GET, url: %q}]\n  stages: [{rate: 50, duration: 60s}]\n  workers: 200\n  timeout: 60s\n", target),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errOut bytes.Buffer
	code = cli.Main(t.Context(), "dev", []string{"load", "run", filepath.Join(dir, "s.yaml"), "--data", dir, "-o", "json", "--store=false"}, strings.NewReader(""), &out, &errOut)
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s %s", err, &out, &errOut)
	}
	return code, r, errOut.String()
}
