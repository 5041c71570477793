package filelog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is call number i: its status tells which one it is, modulo 10,000, and its path exactly.
func line(i int) string {
	return fmt.Sprintf("\x1ek1\t%d\t10\t0\t5\t9\t%d\t-\tvia_upstream\t1\t0\t5\tt\tfn\tr1\tfn/0\tzb-a\t127.0.0.1:1\t127.0.0.1\t"+
		"-\x1fGET\x1f-\x1f-\x1f-\x1fhost\x1f/%d\x1fagent\n", 1_700_000_000_000_000+i, 200+i%300, i)
}

// store is a sink that keeps what it is given the way a WAL does: a batch and
// its position together, or neither.
type store struct {
	mu       sync.Mutex
	paths    []string // of the calls, or what was malformed
	position Position
	changed  chan struct{} // closed and made anew at each change
	refuse   func() error  // asked after the records were read; nil takes everything
}

func newStore() *store { return &store{changed: make(chan struct{})} }

func (s *store) take(_ context.Context, b Batch) error {
	var paths []string
	for r := range b.Records {
		path := string(r.Path)
		for _, a := range r.Attrs {
			if a.Key == calllog.AttrMalformed {
				path = "malformed: " + string(a.Value)
			}
		}
		paths = append(paths, path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		if err := s.refuse(); err != nil {
			return err
		}
	}
	s.paths = append(s.paths, paths...)
	s.position = b.Position
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// await waits until there are n calls or more and gives them.
func (s *store) await(t *testing.T, n int) []string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		paths, changed := s.paths, s.changed
		s.mu.Unlock()
		if len(paths) >= n {
			return paths
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d calls after 30 s, want %d", len(paths), n)
		}
	}
}

func (s *store) at() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		wait := time.NewTimer(time.Millisecond)
		<-wait.C
	}
}

func config(path string) Config {
	c := DefaultConfig()
	c.PollInterval, c.Grace = api.Duration(2*time.Millisecond), api.Duration(time.Millisecond)
	c.Sources = []Source{{Path: path, Gateway: "gw-1", GatewayZone: "zb-a"}}
	return c
}

// start runs a Tailer on one source until stop or the test's end.
func start(t *testing.T, c Config, s *store) (tailer *Tailer, reg *prometheus.Registry, stop func()) {
	t.Helper()
	reg = prometheus.NewRegistry()
	tailer, err := New(c, map[string]Position{c.Sources[0].Path: s.at()}, slog.New(slog.DiscardHandler), reg, s.take)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tailer.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return tailer, reg, stop
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// wantCalls checks that calls 0 to n-1 are there once each, in order.
func wantCalls(t *testing.T, got []string, n int) {
	t.Helper()
	for i, path := range got {
		if path != "/"+strconv.Itoa(i) {
			t.Fatalf("call %d of %d is %q; around it %q", i, len(got), path, got[max(0, i-3):min(len(got), i+4)])
		}
	}
	if len(got) != n {
		t.Fatalf("%d calls, want %d", len(got), n)
	}
}

// TestLinesAtTheEnd ends a Tailer before it has read anything: what stands in the
// log by then is handed over all the same.
func TestLinesAtTheEnd(t *testing.T) {
	const lines = 1000
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	c := config(path)
	c.readBytes = 10 * len(line(0))
	tailer, err := New(c, nil, slog.New(slog.DiscardHandler), nil, s.take)
	if err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		write(t, path, line(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tailer.Run(ctx); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, s.await(t, 0), lines)
}

func TestFileThatAppearsLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	start(t, config(path), s)
	write(t, path, line(0)+line(1))
	wantCalls(t, s.await(t, 2), 2)
}

func TestRecordIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write(t, path, line(7))
	got := make(chan calllog.Record, 1)
	c := config(path)
	tailer, err := New(c, nil, slog.New(slog.DiscardHandler), nil, func(_ context.Context, b Batch) error {
		for r := range b.Records {
			got <- *r
		}
		if b.Source != path {
			t.Errorf("source %s", b.Source)
		}
		return errors.New("enough")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tailer.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("run: %v, want the sink's error", err)
	}
	if r := <-got; r.Gateway != "gw-1" || r.GatewayZone != "zb-a" || r.Status != 207 || r.SampleWeight != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestPartialLine cuts a line at every place: it is handed over with its newline, not before.
func TestPartialLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	_, reg, _ := start(t, config(path), s)
	n := 0
	for cut := 0; cut < len(line(0)); cut += 7 {
		whole := line(n + 1)
		write(t, path, line(n)+whole[:cut])
		wantCalls(t, s.await(t, n+1), n+1)
		write(t, path, whole[cut:])
		wantCalls(t, s.await(t, n+2), n+2)
		n += 2
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
# HELP kongdao_collector_lines_total Lines read from access-log files, those that do not parse included.
# TYPE kongdao_collector_lines_total counter
kongdao_collector_lines_total{gateway="gw-1"} %d
# HELP kongdao_collector_malformed_lines_total Lines that do not parse; each is stored as a call without function.
# TYPE kongdao_collector_malformed_lines_total counter
kongdao_collector_malformed_lines_total{gateway="gw-1"} 0
`, n)), "kongdao_collector_lines_total", "kongdao_collector_malformed_lines_total"); err != nil {
		t.Error(err)
	}
}

func TestMalformedLinesAreCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	half := line(1)[:40]
	write(t, path, line(0)+"nonsense\n"+"\n"+half+line(1))
	s := newStore()
	_, reg, _ := start(t, config(path), s)
	got := s.await(t, 4)
	want := []string{"/0", "malformed: line: field start: malformed", "malformed: " + errTorn.Error(), "/1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := value(t, reg, "kongdao_collector_malformed_lines_total"); n != 2 {
		t.Errorf("%v malformed lines, want 2", n)
	}
}

func value(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	_, reg, _ := start(t, config(path), s)
	write(t, path, line(0)+line(1))
	s.await(t, 2)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, path, line(2))
	wantCalls(t, s.await(t, 3), 3)
	if n := value(t, reg, "kongdao_collector_log_truncations_total"); n != 1 {
		t.Errorf("%v truncations, want 1", n)
	}
}

// TestOverwritten has a file that is at least as long as before, with other lines.
func TestOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	start(t, config(path), s)
	write(t, path, line(0))
	s.await(t, 1)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(line(1)+line(2)), 0); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, s.await(t, 3), 3)
}

func TestLongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	c := config(path)
	c.readBytes, c.lineBytes = 512, 2048
	s := newStore()
	_, _, stop := start(t, c, s)
	long := line(0)[:100] + strings.Repeat("x", 9000) + "\n"
	write(t, path, line(0)+long[:5000])
	s.await(t, 1)
	write(t, path, long[5000:]+line(1)+line(2))
	want := []string{"/0", "malformed: " + errLong.Error(), "/1", "/2"}
	if got := s.await(t, 4); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	stop()
	start(t, c, s)
	write(t, path, line(3))
	if got := s.await(t, 5); got[4] != "/3" {
		t.Errorf("after a restart behind a long line: %q", got)
	}
}

// TestRotationByOthers renames the file while its writer goes on with the old
// one for a while, as logrotate does.
func TestRotationByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	start(t, config(path), s)
	n := 0
	for round := range 5 {
		write(t, path, line(n))
		for i := round; i > 0; i-- {
			rename(t, fmt.Sprint(path, ".", i), fmt.Sprint(path, ".", i+1))
		}
		rename(t, path, path+".1")
		write(t, path+".1", line(n+1)) // not reopened yet
		write(t, path, line(n+2))
		n += 3
		wantCalls(t, s.await(t, n), n)
	}
}

// TestTornEnd leaves a rotated file whose last line never got its newline.
func TestTornEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	write(t, path, line(0)+line(1)[:50])
	start(t, config(path), s)
	s.await(t, 1)
	rename(t, path, path+".1")
	write(t, path, line(2))
	want := []string{"/0", "malformed: " + errTorn.Error(), "/2"}
	if got := s.await(t, 3); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLostPosition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write(t, path, line(0)+line(1))
	s := newStore()
	s.position = Position{Inode: 1, Fingerprint: 2, Offset: 100}
	_, reg, _ := start(t, config(path), s)
	wantCalls(t, s.await(t, 2), 2)
	if n := value(t, reg, "kongdao_collector_log_positions_lost_total"); n != 1 {
		t.Errorf("%v lost positions, want 1", n)
	}
}

func TestLag(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write(t, path, line(0)+line(1)[:30])
	s := newStore()
	_, reg, _ := start(t, config(path), s)
	s.await(t, 1)
	await(t, "30 bytes of lag", func() bool { return value(t, reg, "kongdao_collector_log_lag_bytes") == 30 })
}

func TestPositionWithin(t *testing.T) {
	head := bytes.Repeat([]byte("abc"), 100)[:headBytes]
	p := Position{Fingerprint: fingerprint(head, 10), Offset: 10}
	for _, tt := range []struct {
		name string
		head []byte
		size int64
		want bool
	}{
		{"the same file", head, 1000, true},
		{"just long enough", head[:10], 10, true},
		{"shorter", head[:9], 9, false},
		{"other bytes", []byte("0123456789"), 10, false},
		{"other bytes behind the position", append(bytes.Clone(head[:10]), "zzz"...), 13, true},
	} {
		if got := p.within(tt.head, tt.size); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestListOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	old := time.Now().Add(-time.Hour)
	for i, name := range []string{"", ".1", ".2", ".10", ".2.gz", ".bak", "-20260101", ".000000000002", ".000000000010"} {
		write(t, path+name, "x")
		at := old
		if name == ".1" {
			at = old.Add(time.Second)
		}
		if err := os.Chtimes(path+name, at, at); err != nil {
			t.Fatal(i, err)
		}
	}
	files, err := list(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, strings.TrimPrefix(f.path, path))
	}
	want := []string{"-20260101", ".10", ".2", ".1", ".000000000002", ".000000000010", ""}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("order %q, want %q", got, want)
	}
	if name := rotatedName(path, files); name != path+".000000000011" {
		t.Errorf("the next is %s", name)
	}
}

func TestValidate(t *testing.T) {
	err := Config{Sources: []Source{{}, {Path: "a", Gateway: "g"}, {Path: "a", Gateway: "g"}}, Grace: -1, RotateBytes: -1}.Validate()
	for _, field := range []string{"sources[0].path", "sources[0].gateway", "sources[2].path", "pollInterval", "grace", "rotateBytes"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
