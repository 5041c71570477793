package filelog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestGatewayOf(t *testing.T) {
	for _, tt := range []struct{ glob, path, want string }{
		{"/logs/*.log", "/logs/gw-7.log", "gw-7"},
		{"/logs/*/access.log", "/logs/gw-7/access.log", "gw-7"},
		{"/logs/*/zb-?/access.log", "/logs/gw-7/zb-a/access.log", "zb-a"},
		{"/logs/*/calls-*.log", "/logs/x/calls-2.log", "calls-2"},
		{"/logs/edge.access.log", "/logs/edge.access.log", "edge.access"},
		{"/logs/gw-*", "/logs/gw-1", "gw-1"},
		{"/logs/.log", "/logs/.log", ".log"},
	} {
		if got := GatewayOf(tt.glob, tt.path); got != tt.want {
			t.Errorf("%s of %s: %q, want %q", tt.path, tt.glob, got, tt.want)
		}
	}
}

// Rotated files are no logs of their own, whatever the pattern says.
func TestLogsOf(t *testing.T) {
	for _, tt := range []struct {
		name, pattern         string
		names, resumed, known []string
		want                  []string
	}{
		{"each", "/l/*.log", []string{"/l/a.log", "/l/b.log"}, nil, nil, []string{"/l/a.log", "/l/b.log"}},
		{"known ones", "/l/*.log", []string{"/l/a.log", "/l/b.log"}, nil, []string{"/l/a.log"}, []string{"/l/b.log"}},
		{"rotated by others", "/l/a.log*", []string{"/l/a.log", "/l/a.log.1", "/l/a.log-20260101", "/l/a.log.2.gz"}, nil, nil, []string{"/l/a.log"}},
		{"rotated, of a known one that is renamed now", "/l/*", []string{"/l/a.log.1"}, nil, []string{"/l/a.log"}, nil},
		{"numbers that are names", "/l/gw-*", []string{"/l/gw-1", "/l/gw-2", "/l/gw-1.000000000003"}, nil, nil, []string{"/l/gw-1", "/l/gw-2"}},
		{"only one rotated here is left", "/l/*", []string{"/l/a.log.000000000007"}, nil, nil, []string{"/l/a.log"}},
		{"followed before", "/l/*.log", nil, []string{"/l/a.log", "/other/b.log"}, nil, []string{"/l/a.log"}},
	} {
		known := map[string]bool{}
		for _, k := range tt.known {
			known[k] = true
		}
		if got := logsOf(tt.pattern, tt.names, tt.resumed, known); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// stores keeps the calls and the position of each source.
type stores struct {
	mu sync.Mutex
	of map[string]*store
}

func (s *stores) take(ctx context.Context, b Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Records == nil {
		delete(s.of, b.Source)
		return nil
	}
	if s.of[b.Source] == nil {
		s.of[b.Source] = newStore()
	}
	return s.of[b.Source].take(ctx, b)
}

func (s *stores) calls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[path] == nil {
		return -1
	}
	return s.of[path].count()
}

func (s *stores) positions() map[string]Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := map[string]Position{}
	for path, one := range s.of {
		at[path] = one.at()
	}
	return at
}

// Files come and go while a glob is followed, and between two runs.
func TestGlob(t *testing.T) {
	dir := t.TempDir()
	path := func(i int) string { return filepath.Join(dir, fmt.Sprintf("gw-%d.log", i)) }
	c := DefaultConfig()
	c.PollInterval, c.Grace, c.retireAfter = config("").PollInterval, config("").Grace, 50*time.Millisecond
	c.Globs = []Source{{Path: filepath.Join(dir, "*.log*")}}
	s := &stores{of: map[string]*store{}}
	run := func() (stop func()) {
		tailer, err := New(c, s.positions(), slog.New(slog.DiscardHandler), nil, s.take)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tailer.Run(ctx) }()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	stop := run()
	for i := range 20 {
		write(t, path(i), line(0)+line(1))
		await(t, "a new file is read", func() bool { return s.calls(path(i)) == 2 })
	}
	rename(t, path(3), path(3)+".1") // by another, and nothing written since
	write(t, path(4), line(2))
	await(t, "more lines are read", func() bool { return s.calls(path(4)) == 3 })
	stop()
	write(t, path(5), line(2))
	rename(t, path(6), path(6)+".000000000001") // the gateway is gone, its last lines are not
	write(t, path(6)+".000000000001", line(2))
	stop = run()
	await(t, "lines written meanwhile are read", func() bool { return s.calls(path(5)) == 3 && s.calls(path(6)) == 3 })
	if err := os.Remove(path(7)); err != nil {
		t.Fatal(err)
	}
	await(t, "what is gone is forgotten", func() bool { return s.calls(path(7)) == -1 })
	write(t, path(7), line(0)+line(1)+line(2))
	await(t, "and new when it comes back", func() bool { return s.calls(path(7)) == 3 })
	stop()
	for i := range 20 {
		want := 2
		if i >= 4 && i <= 7 {
			want = 3
		}
		if got := s.calls(path(i)); got != want {
			t.Errorf("%d calls of %s, want %d", got, path(i), want)
		}
	}
	if n := s.calls(path(3) + ".1"); n != -1 {
		t.Errorf("a rotated file is taken for a log of its own")
	}
}
