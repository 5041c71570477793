package chaos

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kongdao/kongdao/internal/testkit"
)

// TestFileLimit lets no file of the collector grow beyond a bound: the write that
// crosses it is cut off, as on a full disk, and needs no rights to set up. The
// collector waits, is killed, waits again, and goes on when there is room.
func TestFileLimit(t *testing.T) {
	r := newRig(t, nil)
	r.load(300)()
	limit := func(bytes uint64) {
		testkit.Must(t, unix.Prlimit(r.process.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil))
	}
	r.fullDisk(
		func() {
			info, err := os.Stat(r.newest())
			testkit.Must(t, err)
			limit(uint64(info.Size()) + 5000)
		},
		func() { limit(unix.RLIM_INFINITY) })
}

// TestFullDisk does the same with a file system that is full, where the machine
// lets the test mount one.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no file system of a size: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r := newRig(t, func(l *life) { l.Dir = filepath.Join(disk, "collector") })
	r.load(300)()
	filler := filepath.Join(disk, "filler")
	r.fullDisk(
		func() {
			// What is left is less than a block needs. Writing ends with the disk.
			err := os.WriteFile(filler, bytes.Repeat([]byte{1}, 4<<20), 0o600)
			if err == nil {
				t.Error("the disk is not full")
			}
			testkit.Must(t, os.Truncate(filler, size(t, filler)-8<<10))
		},
		func() { testkit.Must(t, os.Remove(filler)) })
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	testkit.Must(t, err)
	return info.Size()
}

// fullDisk fills the disk of the write-ahead log, kills the collector while it is
// full, and makes room.
func (r *rig) fullDisk(fill, empty func()) {
	t := r.t
	random := rand.New(rand.NewPCG(r.seed, 5))
	waits := func() bool {
		testkit.Must(t, r.log.write(20, random))
		_ = r.stream.send(5) // lost, unless it is found on disk
		return r.process.stats(t).Stats.Waiting == "disk"
	}
	r.log.long, r.stream.long = true, true
	fill()
	r.note("disk is full")
	testkit.Eventually(t, "the log waits for the disk", waits)
	if m := r.process.stats(t).Metrics; m["kongdao_collector_wal_waiting"] != 1 {
		t.Errorf("kongdao_collector_wal_waiting is %v", m["kongdao_collector_wal_waiting"])
	}
	r.killCollector()
	r.ledger.look("the disk was full")
	r.startCollector()
	empty()
	fill()
	r.note("disk is full again")
	testkit.Eventually(t, "the log waits for the disk again", waits)
	lines := r.log.n.Load()
	if read := r.process.stats(t).Stats.Read; read >= lines+r.stream.n.Load() {
		t.Errorf("%d calls were read with a full disk, %d lines were written", read, lines)
	}
	if err := r.process.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the collector ended: %v", err)
	}
	empty()
	r.check("after the disk was full twice")
}
