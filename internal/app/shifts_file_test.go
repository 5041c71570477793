package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/xds"
)

func someShifts(i int) shifts {
	until := time.Date(2030, 1, 1, 0, 0, i, 0, time.UTC)
	return shifts{
		Zones: map[string]zoneShift{"zb-a": {Weight: i % 100, Until: until}, "zb-b": {}},
		Pins:  map[string]pinLease{"id": {Pin: xds.Pin{Function: "feed", Address: "127.0.0.1:1", Header: "h", Value: "v"}, Until: until}},

		Marked: until,
	}
}

func TestShiftsAreReadAsWritten(t *testing.T) {
	f := shiftsFile{filepath.Join(t.TempDir(), "shifts")}
	if got, err := f.load(); err != nil || got.Zones != nil || got.Pins != nil {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	for i := range 3 {
		if err := f.save(someShifts(i)); err != nil {
			t.Fatal(err)
		}
		if got, err := f.load(); err != nil || !reflect.DeepEqual(got, someShifts(i)) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

// TestDamagedShifts flips each byte of the file, and cuts it: what was in force
// before counts, and the damage is named.
func TestDamagedShifts(t *testing.T) {
	f := shiftsFile{filepath.Join(t.TempDir(), "shifts")}
	for i := range 2 {
		if err := f.save(someShifts(i)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := append([]byte{}, whole...)
		damaged[i] ^= 1
		if i%2 == 0 {
			damaged = damaged[:i]
		}
		if err := os.WriteFile(f.path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := f.load()
		if err == nil || !strings.Contains(err.Error(), "the one before it counts") || !reflect.DeepEqual(got, someShifts(0)) {
			t.Fatalf("byte %d: got %+v, %v", i, got, err)
		}
	}
	if err := os.WriteFile(f.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.before(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := f.load(); err == nil || !strings.Contains(err.Error(), "full share") || got.Zones != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

const writerDir = "KONGDAO_TEST_SHIFTS_DIR"

// TestShiftsWriter is the process that TestShiftsSurviveKill kills: it says which
// save has returned.
func TestShiftsWriter(t *testing.T) {
	dir := os.Getenv(writerDir)
	if dir == "" {
		t.Skip("only as a child of TestShiftsSurviveKill")
	}
	f := shiftsFile{filepath.Join(dir, "shifts")}
	for i := 0; ; i++ {
		if err := f.save(someShifts(i)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("saved", i)
	}
}

// TestShiftsSurviveKill kills a process that saves all the time with SIGKILL, again
// and again: the last save that returned, or the one on its way, is there.
func TestShiftsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	f := shiftsFile{filepath.Join(dir, "shifts")}
	for round := range 15 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestShiftsWriter$", "-test.v")
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := saves(t, out, 5+3*round, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		got, err := f.load()
		if err != nil || !reflect.DeepEqual(got, someShifts(last)) && !reflect.DeepEqual(got, someShifts(last+1)) {
			raw, _ := json.Marshal(got)
			t.Fatalf("round %d: save %d had returned; got %s, %v", round, last, raw, err)
		}
	}
}

// saves reads which save returned last, and kills after so many.
func saves(t *testing.T, out io.Reader, n int, kill func()) (last int) {
	t.Helper()
	last = -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "saved %d", &last); err == nil && last == n {
			kill()
		}
	}
	if last < n {
		t.Fatalf("the writer ended after save %d", last)
	}
	return last
}
