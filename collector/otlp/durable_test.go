package otlp

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

// TestRepeated: the same bytes again, at the same time, later and after a restart,
// are answered and stored once.
func TestRepeated(t *testing.T) {
	engine := migrated(t)
	cfg := testConfig(t.TempDir())
	cfg.FlushInterval = api.Duration(100 * time.Millisecond) // time for those at the same time to meet
	r := start(t, cfg, engine.Options())
	c := newClient(t, r.Receiver)
	first := bytesOf(t, one(0))
	var both sync.WaitGroup
	for range 4 {
		both.Go(func() {
			if code, _, body := c.post(first); code != http.StatusOK {
				t.Errorf("%d %s", code, body)
			}
		})
	}
	both.Wait()
	c.post(first)
	second := bytesOf(t, one(1))
	c.post(second)
	if n := r.metric(t, "kongdao_collector_otlp_requests_total", "protocol", "http", "outcome", "repeated"); n != 4 {
		t.Errorf("%v repeated requests counted, want 4", n)
	}
	r.stop()

	r = start(t, cfg, engine.Options())
	c = newClient(t, r.Receiver)
	for _, again := range [][]byte{first, second} { // the last two blocks
		if code, _, body := c.post(again); code != http.StatusOK {
			t.Errorf("%d %s", code, body)
		}
	}
	testkit.Must(t, r.Drain(testkit.Context(t)))
	stored(t, open(t, engine.Options()), "feed", 2)
}

// TestWithoutTime: two equal requests whose records have no time may be two.
func TestWithoutTime(t *testing.T) {
	engine := migrated(t)
	r := start(t, testConfig(t.TempDir()), engine.Options())
	c := newClient(t, r.Receiver)
	m := bytesOf(t, request(kvs("service.name", "feed"), &logs.LogRecord{Body: str("tick")}))
	c.post(m)
	c.post(m)
	testkit.Must(t, r.Drain(testkit.Context(t)))
	var rows uint64
	testkit.Must(t, open(t, engine.Options()).QueryRow(testkit.Context(t), "SELECT count() FROM function_logs").Scan(&rows))
	if rows != 2 {
		t.Errorf("%d rows, want 2", rows)
	}
}

// TestRedacted: what is to be hidden reaches neither the table nor the log on disk.
func TestRedacted(t *testing.T) {
	engine := migrated(t)
	cfg := testConfig(t.TempDir())
	cfg.Redact.Drop = []string{"attrs.user"}
	r := start(t, cfg, engine.Options())
	c := newClient(t, r.Receiver)
	m := request(kvs("service.name", "feed"), &logs.LogRecord{
		Body:       str("call 13812345678 now"),
		Attributes: kvs("user", "zhang", "password", "hunter2", "list", array(str("13912345678"))),
	})
	if code, _, body := c.post(bytesOf(t, m)); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	testkit.Must(t, r.Drain(testkit.Context(t)))
	var body string
	var attrs map[string]string
	testkit.Must(t, open(t, engine.Options()).QueryRow(testkit.Context(t), "SELECT body, attrs FROM function_logs").Scan(&body, &attrs))
	want := map[string]string{"password": "[token]", "list": `["[phone]"]`}
	if body != "call [phone] now" || !maps.Equal(attrs, want) {
		t.Errorf("%s %v, want %v", body, attrs, want)
	}
}

// TestBackpressure: while ClickHouse is away the log fills up; then requests are
// refused, with the time to come again, and nothing of them is stored. Once
// ClickHouse is there everything that was accepted is stored, once.
func TestBackpressure(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.WALBytes = 1 << 20
	cfg.MaxMessageBytes = 64 << 10
	cfg.Patience = api.Duration(50 * time.Millisecond)
	r := start(t, cfg, nowhere())
	c := newClient(t, r.Receiver)
	accepted, refused := 0, 0
	noise := func(n int) []byte { return bytesOf(t, noisy(n)) }
	for refused < 3 {
		code, header, body := c.post(noise(accepted))
		switch code {
		case http.StatusOK:
			accepted++
		case http.StatusTooManyRequests:
			refused++
			if header.Get("Retry-After") != "1" {
				t.Errorf("retry after %q", header.Get("Retry-After"))
			}
		default:
			t.Fatalf("%d %s", code, body)
		}
	}
	if _, err := c.export(testkit.Context(t), noisy(accepted)); status.Code(err) != codes.ResourceExhausted || len(status.Convert(err).Details()) != 1 {
		t.Errorf("over gRPC: %v, want RESOURCE_EXHAUSTED with RetryInfo", err)
	}
	if w := r.Stats(); w.Waiting != "budget" || w.Unstored != int64(accepted) {
		t.Errorf("%+v, want %d records", w, accepted)
	}
	r.stop()

	engine := migrated(t)
	r = start(t, cfg, engine.Options())
	c = newClient(t, r.Receiver)
	testkit.Must(t, r.Drain(testkit.Context(t)))
	testkit.Eventually(t, "room again", func() bool {
		code, _, _ := c.post(noise(accepted))
		return code == http.StatusOK
	})
	accepted++
	testkit.Must(t, r.Drain(testkit.Context(t)))
	stored(t, open(t, engine.Options()), "feed", accepted)
}

// TestStop: requests that are under way when the receiver stops are answered with
// what happened to them: stored ones are stored, refused ones are not.
func TestStop(t *testing.T) {
	engine := migrated(t)
	cfg := testConfig(t.TempDir())
	r := start(t, cfg, engine.Options())
	c := newClient(t, r.Receiver)
	var sent atomic.Int64
	var clients sync.WaitGroup
	ended, end := context.WithCancel(context.Background())
	accepted := make(chan int, 1<<16)
	for range 4 {
		clients.Go(func() {
			for ended.Err() == nil {
				n := int(sent.Add(1)) - 1
				if _, err := c.export(ended, one(n)); err != nil {
					return
				}
				accepted <- n
			}
		})
	}
	testkit.Eventually(t, "requests are accepted", func() bool { return len(accepted) > 100 })
	r.stop()
	end()
	clients.Wait()
	close(accepted)
	r = start(t, cfg, engine.Options())
	testkit.Must(t, r.Drain(testkit.Context(t)))
	have := map[string]bool{}
	var got []string
	testkit.Must(t, open(t, engine.Options()).QueryRow(testkit.Context(t), "SELECT groupArray(attrs['n']) FROM function_logs").Scan(&got))
	for _, n := range got {
		if have[n] {
			t.Errorf("record %s is stored twice", n)
		}
		have[n] = true
	}
	for n := range accepted {
		if !have[number(n)] {
			t.Errorf("record %d was accepted and is not stored", n)
		}
	}
}

func number(n int) string {
	b := batch{}
	return string(b.number(n))
}

// TestStartAgain: a receiver that never ran gives everything back.
func TestStartAgain(t *testing.T) {
	cfg := testConfig(t.TempDir())
	for range 2 {
		r, err := New(cfg, nowhere(), testLog(t), nil)
		testkit.Must(t, err)
		cfg.ListenGRPC, cfg.ListenHTTP = r.AddrGRPC(), r.AddrHTTP()
		testkit.Must(t, r.Close())
	}
	taken := start(t, testConfig(t.TempDir()), nowhere())
	cfg.ListenHTTP = taken.AddrHTTP()
	if _, err := New(cfg, nowhere(), testLog(t), nil); err == nil || !strings.Contains(err.Error(), "listenHTTP") {
		t.Errorf("an address that is taken: %v", err)
	}
}

// noisy is a request of one record that LZ4 cannot make smaller.
func noisy(n int) *logspb.ExportLogsServiceRequest {
	text := make([]byte, 30_000)
	for i := range text {
		text[i] = byte(' ' + rand.IntN(95))
	}
	m := one(n)
	m.ResourceLogs[0].ScopeLogs[0].LogRecords[0].Body = str(string(text))
	return m
}
