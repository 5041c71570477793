package filelog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestZeroBytes has what a machine leaves that lost its power: zeros in the place of
// lines that never reached the disk, more than a line may be long.
func TestZeroBytes(t *testing.T) {
	for _, zeros := range []int{10, 1000, 5000, 200_000} {
		path := filepath.Join(t.TempDir(), "access.log")
		c := config(path)
		c.readBytes, c.lineBytes = 512, 2048
		write(t, path, line(0)+line(1)[:100]+strings.Repeat("\x00", zeros)+line(1)+line(2))
		s := newStore()
		_, reg, _ := start(t, c, s)
		reason := errZero
		if zeros > c.lineBytes {
			reason = errLong
		}
		want := []string{"/0", "malformed: " + reason.Error(), "/1", "/2"}
		if got := s.await(t, 4); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d zeros: got %q, want %q", zeros, got, want)
		}
		if n := value(t, reg, "kongdao_collector_malformed_lines_total"); n != 1 {
			t.Errorf("%d zeros: %v malformed lines, want 1", zeros, n)
		}
	}
}

func TestCarriageReturns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write(t, path, strings.ReplaceAll(line(0)+line(1)+"\n", "\n", "\r\n"))
	s := newStore()
	_, reg, _ := start(t, config(path), s)
	wantCalls(t, s.await(t, 2), 2)
	if n := value(t, reg, "kongdao_collector_malformed_lines_total"); n != 0 {
		t.Errorf("%v malformed lines", n)
	}
}

// TestCut takes away the end of a file that was read: what is left is not read again.
func TestCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	_, reg, stop := start(t, config(path), s)
	write(t, path, line(0)+line(1)+line(2)+line(3)+line(4)+line(5))
	s.await(t, 6)
	cut := func(size int) {
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
	}
	cut(5*len(line(0)) - 20)
	await(t, "the cut is seen", func() bool { return value(t, reg, "kongdao_collector_log_truncations_total") == 1 })
	write(t, path, line(6))
	wantCalls(t, s.await(t, 7), 7)
	stop()
	cut(4*len(line(0)) - 20) // while nobody looks, as by a loss of power
	_, reg, _ = start(t, config(path), s)
	await(t, "the cut is seen at the start", func() bool { return value(t, reg, "kongdao_collector_log_truncations_total") == 1 })
	write(t, path, line(7))
	wantCalls(t, s.await(t, 8), 8)
}

// TestLinkIsRefused has a link and a pipe in the place of the file: both are named,
// neither is read, and the file is followed when it is back.
func TestLinkIsRefused(t *testing.T) {
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "access.log"), filepath.Join(dir, "secret")
	write(t, secret, line(7))
	write(t, path, line(0))
	s := newStore()
	c := config(path)
	_, reg, _ := start(t, c, s)
	s.await(t, 1)
	for i, replace := range []func() error{
		func() error { return os.Symlink(secret, path) },
		func() error { return syscall.Mkfifo(path, 0o600) },
		func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		before := value(t, reg, "kongdao_collector_log_errors_total")
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		await(t, "it is counted", func() bool { return value(t, reg, "kongdao_collector_log_errors_total") > before })
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write(t, path, line(i+1))
		wantCalls(t, s.await(t, i+2), i+2)
	}
	if _, err := list(secret); err != nil {
		t.Error(err)
	}
	if err := os.Symlink(secret, path+"x"); err != nil {
		t.Fatal(err)
	}
	if _, err := list(path + "x"); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link gives %v", err)
	}
	// Between listing and opening, too.
	info, err := os.Stat(secret)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := openReader(logFile{path: path + "x", inode: inodeOf(info)}, 0, c); err == nil {
		r.close()
		t.Error("a link is opened")
	}
}

// TestFolderComesLater has the folder made, removed and made again.
func TestFolderComesLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "access.log")
	s := newStore()
	start(t, config(path), s)
	for i := range 3 {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, line(i))
		wantCalls(t, s.await(t, i+1), i+1)
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInodeUsedAgain removes a file and makes another, many times: file systems give
// the same inode again at once.
func TestInodeUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	s := newStore()
	_, _, stop := start(t, config(path), s)
	for i := range 40 {
		write(t, path, line(i))
		if i%10 == 9 {
			_, _, stop = start(t, config(path), s)
		}
		wantCalls(t, s.await(t, i+1), i+1)
		if i%10 == 8 {
			stop()
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

const deniedEnv = "FILELOG_TEST_DENIED"

// TestPermissionDenied needs a process that may be denied something: for root it is
// started as another user.
func TestPermissionDenied(t *testing.T) {
	if path := os.Getenv(deniedEnv); path != "" {
		s := newStore()
		_, reg, _ := start(t, config(path), s)
		await(t, "the failure is counted", func() bool { return value(t, reg, "kongdao_collector_log_errors_total") > 0 })
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		wantCalls(t, s.await(t, 1), 1)
		return
	}
	if os.Getuid() != 0 {
		path := filepath.Join(t.TempDir(), "access.log")
		write(t, path, line(0))
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		t.Setenv(deniedEnv, path)
		TestPermissionDenied(t)
		return
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "denied") // t.TempDir is for its owner alone
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, binary := filepath.Join(dir, "access.log"), filepath.Join(dir, "test")
	write(t, path, line(0))
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.WriteFile(binary, program, 0o755), os.Chmod(path, 0), os.Chmod(dir, 0o755), os.Chown(path, nobody, nobody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^TestPermissionDenied$")
	cmd.Env = append(os.Environ(), deniedEnv+"="+path, "TMPDIR="+dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// A file is read once, also when the inode was that of a file that was read before
// and is gone, or is that of one that was empty when it was left.
func TestInodeOfAnEndedFile(t *testing.T) {
	for name, before := range map[string]Position{
		"another file":   {Fingerprint: fingerprint([]byte(line(7)), 100), Offset: 100},
		"the empty file": {Fingerprint: fingerprint(nil, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			write(t, path+".1", line(0))
			write(t, path, line(1))
			files, err := list(path)
			if err != nil {
				t.Fatal(err)
			}
			c, s := config(path).withDefaults(), newStore()
			c.Grace = 0
			m, err := newMetrics(nil)
			if err != nil {
				t.Fatal(err)
			}
			f := newFollower(c, c.Sources[0], Position{}, slog.New(slog.DiscardHandler), m, s.take)
			before.Inode = files[0].inode
			f.done = []ended{{end: before}}
			f.mu.Lock()
			defer f.mu.Unlock()
			defer f.leave()
			for range 20 {
				if _, err := f.round(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			wantCalls(t, s.await(t, 2), 2)
		})
	}
}
