package wal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/testkit"
)

// writeUntilKilled is the child of TestKilledWriter: it appends, with several
// writers at once, and prints what was acknowledged. It also consumes and
// acknowledges, so that segments are deleted meanwhile.
func writeUntilKilled(dir string) {
	l, err := Open(Options{Dir: dir, BudgetBytes: 1 << 20, SegmentBytes: 16 << 10})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	at := 0
	if p := string(l.Positions()); p != "" {
		at, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(p, `{"at":`), "}"))
		at++
	}
	go func() {
		for {
			r, err := l.Next(context.Background())
			if err != nil {
				return
			}
			fmt.Printf("got %s\n", r.Positions)
			_ = l.Ack(r.Seq)
		}
	}()
	for ; ; at++ {
		if _, err := l.Append(context.Background(), entryOf(at, 100+at%2000)); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Printf("put %d\n", at)
	}
}

func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	put := -1             // newest acknowledged append
	got := map[int]bool{} // what was consumed, over all lives
	for range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "WAL_TEST_WRITER="+dir)
		out, err := cmd.StdoutPipe()
		testkit.Must(t, err)
		testkit.Must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 50 + rand.IntN(300); lines.Scan(); n-- {
			put = max(put, note(t, lines.Text(), got))
			if n == 0 {
				testkit.Must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait()
	}
	l := open(t, Options{Dir: dir, BudgetBytes: 1 << 20, SegmentBytes: 16 << 10})
	for {
		r, ok, err := l.TryNext()
		testkit.Must(t, err)
		if !ok {
			break
		}
		n := note(t, "got "+string(r.Positions), got)
		sameEntry(t, r.Entry, entryOf(n, 100+n%2000))
	}
	if put < 100 {
		t.Fatalf("only %d appends", put)
	}
	for n := range put + 1 {
		if !got[n] {
			t.Errorf("record %d was acknowledged and is gone", n)
		}
	}
	if q := l.Stats().Quarantined; q != 0 {
		t.Errorf("%d ranges set aside", q)
	}
}

// note reads a line of the child: the number of an append, or a consumed record.
func note(t *testing.T, line string, got map[int]bool) int {
	t.Helper()
	what, rest, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(rest, `{"at":`), "}"))
	switch {
	case what == "got" && err == nil:
		got[n] = true
	case what == "put" && err == nil:
	case what == "got" || what == "put": // cut by the kill
		return -1
	default:
		t.Fatalf("child: %s", line)
	}
	return n
}
