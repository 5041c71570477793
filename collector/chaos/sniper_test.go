package chaos

import (
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/kongdao/kongdao/internal/testkit"
)

// sniper kills ClickHouse at a step of an insert: it watches the folders of the
// tables, in which a part is renamed to its name and a token is written down.
type sniper struct {
	rig     *rig
	watcher *fsnotify.Watcher
	left    atomic.Int64 // steps until the shot; not above 0: none
	shot    chan string
	reads   sync.WaitGroup
}

func newSniper(r *rig) *sniper {
	r.t.Helper()
	w, err := fsnotify.NewWatcher()
	testkit.Must(r.t, err)
	s := &sniper{rig: r, watcher: w, shot: make(chan string, 1)}
	s.watch()
	s.reads.Go(s.read)
	r.t.Cleanup(func() {
		_ = w.Close()
		s.reads.Wait()
	})
	return s
}

// watch finds the folders.
func (s *sniper) watch() {
	s.rig.t.Helper()
	c := s.rig.client()
	defer c.Close()
	var paths []string
	testkit.Must(s.rig.t, c.QueryRow(testkit.Context(s.rig.t),
		"SELECT groupArrayArray(data_paths) FROM system.tables WHERE database = 'default' AND name LIKE 'calls%' AND engine LIKE '%MergeTree'").Scan(&paths))
	if len(paths) < 4 {
		s.rig.t.Fatalf("folders of the tables: %q", paths)
	}
	for _, p := range paths {
		testkit.Must(s.rig.t, s.watcher.Add(p))
		testkit.Must(s.rig.t, s.watcher.Add(filepath.Join(p, "deduplication_logs")))
	}
}

func (s *sniper) read() {
	for e := range s.watcher.Events {
		if !step(e) || s.left.Add(-1) != 0 {
			continue
		}
		if pid := s.rig.engine.PID(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // dead already is as good
		}
		s.shot <- e.Op.String() + " " + e.Name
	}
}

// step reports that a part got its name, or a token was written down.
func step(e fsnotify.Event) bool {
	dir, name := filepath.Split(e.Name)
	if strings.HasSuffix(filepath.Clean(dir), "deduplication_logs") {
		return e.Has(fsnotify.Write)
	}
	return e.Has(fsnotify.Create) && !strings.HasPrefix(name, "tmp") && !strings.HasPrefix(name, "delete_tmp")
}

// shoot kills at the nth step from now on. Without inserts, as when the way to
// ClickHouse is blocked, it kills after a while.
func (s *sniper) shoot(n int) {
	s.rig.t.Helper()
	s.left.Store(int64(n))
	select {
	case at := <-s.shot:
		s.rig.note("clickhouse killed at step %d: %s", n, at)
		return
	case <-time.After(time.Second):
	}
	if s.left.Swap(0) > 0 {
		s.rig.killEngine()
		return
	}
	<-s.shot
}
