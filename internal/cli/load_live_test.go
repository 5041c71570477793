package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// On a terminal the picture is drawn over the one before and fits its width; elsewhere
// it is a line a second.
func TestLiveView(t *testing.T) {
	var out bytes.Buffer
	v := &liveView{out: &out, name: "feed", width: 60}
	for i := range 40 {
		v.show(attack.Progress{
			Elapsed: time.Duration(i+1) * time.Second, Rate: float64(100 + i), Planned: 140, Sent: uint64(100 * i),
			NowP50: time.Millisecond, NowP99: 20 * time.Millisecond, NowLagP99: 70 * time.Microsecond, Faults: 3, Dropped: 1,
		})
	}
	pictures := strings.Split(out.String(), "\x1b[6A\x1b[J")
	if len(pictures) != 40 {
		t.Fatalf("%d pictures, want 40", len(pictures))
	}
	last := pictures[39]
	for _, want := range []string{"feed  40s  3900 sent", "139/s of 140/s", "20ms", "70µs", "errors             3  late 0  dropped 1"} {
		if !strings.Contains(last, want) {
			t.Errorf("no %q in\n%s", want, last)
		}
	}
	for line := range strings.Lines(last) {
		if n := len([]rune(line)); n > 60 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if n := strings.Count(last, "\n"); n != 6 {
		t.Errorf("%d lines, want the 6 that are drawn over", n)
	}

	out.Reset()
	(&liveView{out: &out}).show(attack.Progress{Elapsed: time.Second, Sent: 7})
	if text := out.String(); strings.Contains(text, "\x1b") || strings.Count(text, "\n") != 1 || !strings.Contains(text, "sent 7") {
		t.Errorf("%q", text)
	}
}
