package forward_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/forward"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func run(t *testing.T, cfg forward.Config, log *slog.Logger) *forward.Forwarder {
	t.Helper()
	f, err := forward.New(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

func one() model.Alert {
	now := time.Now()
	return model.Alert{
		Labels: model.LabelSet{"alertname": "A", "zone": "zb-a"}, Annotations: model.LabelSet{"summary": "it broke"},
		StartsAt: now, EndsAt: now.Add(time.Minute),
	}
}

// again puts the alert until the condition holds, as rules do.
func again(t *testing.T, f *forward.Forwarder, done <-chan string) string {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		f.Put(one())
		select {
		case s := <-done:
			return s
		case <-tick.C:
		case <-deadline:
			t.Fatal("nothing came")
		}
	}
}

func TestEachAlertmanagerGetsThem(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got [2]chan string
	var urls []string
	for i := range got {
		got[i] = make(chan string, 100)
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body := new(strings.Builder)
			_ = r.Write(body)
			select {
			case got[i] <- body.String():
			default:
			}
		}))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL+[]string{"", "/prefix"}[i])
	}
	f := run(t, forward.Config{URLs: urls, TokenFile: token}, slog.New(slog.DiscardHandler))
	for i, c := range got {
		s := again(t, f, c)
		for _, want := range []string{"POST " + []string{"", "/prefix"}[i] + "/api/v2/alerts", `"alertname":"A"`, "it broke", "Bearer s3cret"} {
			if !strings.Contains(s, want) {
				t.Errorf("%q is missing in %s", want, s)
			}
		}
	}
}

// One that hangs, refuses or redirects holds up no other, and is told no token
// twice; no log line holds one.
func TestOneThatIsIll(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	answers := []http.HandlerFunc{
		func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a server sees that a client left when it has read all
			<-r.Context().Done()
		},
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
	}
	var urls []string
	for _, a := range answers {
		s := httptest.NewServer(a)
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	got := make(chan string, 100)
	well := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case got <- "":
		default:
		}
	}))
	t.Cleanup(well.Close)
	var logged buffer
	t.Cleanup(func() { // after Run has ended
		if strings.Contains(logged.String(), "s3cret") {
			t.Errorf("the log holds the token: %s", logged.String())
		}
	})
	f := run(t, forward.Config{URLs: append(urls, well.URL), TokenFile: token}, slog.New(slog.NewTextHandler(&logged, nil)))
	again(t, f, got)
}

// buffer takes log lines that come after the end, too.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestConfig(t *testing.T) {
	err := forward.Config{URLs: []string{"am:9093", "http://u:hush@am:9093", "http://am", "ftp://am"}}.Validate()
	for _, want := range []string{"forwardTo[0]", "forwardTo[1]", "forwardTo[3]"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v, want %s and no password", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "forwardTo[2]") {
		t.Error(err)
	}
}
