package relay

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"
)

// step is the n-th thing that a gateway accepts: the counter, with something large.
func step(n int) *discovery.DeltaDiscoveryResponse {
	x := &discovery.Resource{Name: "counter", Version: strconv.Itoa(n), Resource: &anypb.Any{Value: make([]byte, n*7919%60_000)}}
	return &discovery.DeltaDiscoveryResponse{TypeUrl: resource.ListenerType, Resources: []*discovery.Resource{x}}
}

// at is the step that a journal stands at; 0: none.
func at(kept resources) int {
	n, _ := strconv.Atoi(kept[resource.ListenerType]["counter"].GetVersion())
	return n
}

// beWriter accepts one thing after another, from where the file stands, and says so
// once each is written.
func beWriter(path string) error {
	j, _ := openJournal(path)
	for n := at(j.kept) + 1; ; n++ {
		if err := j.add(step(n)); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// TestKilledWriter kills a process that writes, at any moment: what it said to have
// written is there, and nothing but what it wrote last besides.
func TestKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	const rounds = 15
	for range rounds {
		before, err := read(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errTorn) {
			t.Fatal(err)
		}
		said := killedWriter(t, path, 1+rand.IntN(60))
		after, err := read(path)
		if err != nil && !errors.Is(err, errTorn) {
			t.Fatal(err)
		}
		if got := at(after.kept); got < said || got <= at(before.kept) && said > 0 {
			t.Fatalf("the file is at %d, the writer said %d, and it was at %d before", got, said, at(before.kept))
		}
		if len(after.kept) != 1 || len(after.kept[resource.ListenerType]) != 1 || after.skipped > 0 {
			t.Fatalf("the file holds %d types, %d records were damaged", len(after.kept), after.skipped)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(found) > 3 {
		t.Errorf("left behind: %q", found)
	}
}

// killedWriter returns the last thing that a writer said before it was killed.
func killedWriter(t *testing.T, path string, lines int) (said int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerOf+"="+path)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := bufio.NewScanner(out)
	for i := 0; read.Scan(); i++ {
		if said, err = strconv.Atoi(read.Text()); err != nil {
			t.Fatal(err)
		}
		if i == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	return said
}

// beFull writes to a disk that becomes full, and has room again.
func beFull(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	j, _ := openJournal(path)
	for n := 1; n <= 5; n++ {
		if err := j.add(step(n)); err != nil {
			return err
		}
	}
	limit := unix.Rlimit{}
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	full := unix.Rlimit{Cur: uint64(j.size) + 100, Max: limit.Max} // room for a part of a record
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		return err
	}
	if err := j.add(step(6)); err == nil || !j.lacks {
		return fmt.Errorf("a full disk: %w, lacks %v", err, j.lacks)
	}
	if err := j.add(step(7)); err != nil {
		return fmt.Errorf("said again: %w", err)
	}
	if err := stands(path, 5); err != nil {
		return err
	}
	full.Cur = 100 // not even what is there already fits into a new file
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		return err
	}
	if err := j.repair(); err == nil || !j.lacks {
		return fmt.Errorf("repaired on a full disk: %w", err)
	}
	if err := stands(path, 5); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := j.repair(); err != nil || j.lacks {
		return fmt.Errorf("with room again: %w", err)
	}
	if err := stands(path, 7); err != nil {
		return err
	}
	if err := j.add(step(8)); err != nil {
		return err
	}
	return stands(path, 8)
}

// stands wants the file to be whole, alone, and at a step.
func stands(path string, n int) error {
	found, err := read(path)
	if err != nil {
		return err
	}
	if got := at(found.kept); got != n {
		return fmt.Errorf("the file is at %d, want %d", got, n)
	}
	if beside, _ := filepath.Glob(path + ".*"); len(beside) > 0 {
		return fmt.Errorf("beside the file: %q", beside)
	}
	return nil
}

// TestFullDisk: what was written before stays whole; all the rest is there as soon as
// there is room.
func TestFullDisk(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullOf+"="+filepath.Join(t.TempDir(), FileName))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, strings.TrimSpace(string(out)))
	}
}

// TestNoPlaceAtAll: a folder that cannot be written to keeps no gateway from
// starting.
func TestNoPlaceAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no such folder", FileName)
	j, notes := openJournal(path)
	if len(notes) != 1 || !j.lacks {
		t.Errorf("%q, %v", notes, j.lacks)
	}
	if err := j.add(step(1)); err != nil {
		t.Error(err)
	}
	if err := j.repair(); err == nil {
		t.Error("repaired")
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.repair(); err != nil {
		t.Error(err)
	}
	if err := stands(path, 1); err != nil {
		t.Error(err)
	}
	if err := j.close(); err != nil {
		t.Error(err)
	}
}

// FuzzRead: whatever lies there, reading ends, and opening makes a file of it that
// reads the same and is whole.
func FuzzRead(f *testing.F) {
	one, err := record(step(3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(header))
	f.Add(append([]byte(header), one...))
	f.Add(append(append([]byte(header), one...), one[:20]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := read(path)
		before.kept.prune()
		j, _ := openJournal(path)
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		after, err := read(path)
		if err != nil {
			t.Fatal(err)
		}
		after.kept.prune()
		for typeURL, byName := range before.kept {
			if len(byName) != len(after.kept[typeURL]) {
				t.Errorf("%s: %d before, %d after", typeURL, len(byName), len(after.kept[typeURL]))
			}
		}
	})
}
