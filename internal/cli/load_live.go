package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// liveView shows a run while it goes on: on a terminal a picture that is drawn again
// once a second, otherwise one line a second. Not for several goroutines.
type liveView struct {
	out   io.Writer
	name  string
	width int // columns of the terminal; 0: none
	lines int // drawn last
	rates []float64
	p99s  []float64
	lags  []float64
}

func (e *env) newLiveView(name string) *liveView {
	v := &liveView{out: e.err, name: name}
	if f, ok := e.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		v.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 40 {
			v.width = w
		}
	}
	return v
}

func (v *liveView) show(p attack.Progress) {
	if v.width == 0 {
		fmt.Fprintf(v.out, "%4.0fs  %7.0f/s  sent %d  in flight %d  p50 %v  p99 %v  faults %d  late %d  dropped %d\n",
			p.Elapsed.Seconds(), p.Rate, p.Sent, p.InFlight, p.P50, p.P99, p.Faults, p.Late, p.Dropped)
		return
	}
	v.rates = append(v.rates, p.Rate)
	v.p99s = append(v.p99s, p.NowP99.Seconds())
	v.lags = append(v.lags, p.NowLagP99.Seconds())
	v.draw(p)
}

func (v *liveView) draw(p attack.Progress) {
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", v.lines) // up, and clear what is below
	}
	line := func(format string, args ...any) {
		text := []rune(fmt.Sprintf(format, args...))
		b.WriteString(string(text[:min(len(text), v.width-1)]) + "\n")
	}
	line("%s  %v  %d sent, %d in flight", v.name, p.Elapsed.Round(time.Second), p.Sent, p.InFlight)
	line("rate     %9.0f/s of %.0f/s  %s", p.Rate, p.Planned, v.spark(v.rates))
	line("p50      %11v  p99 %v in all", short(p.NowP50), short(p.P99))
	line("p99      %11v  %s", short(p.NowP99), v.spark(v.p99s))
	line("lag p99  %11v  %s", short(p.NowLagP99), v.spark(v.lags))
	line("errors   %11d  late %d  dropped %d", p.Faults, p.Late, p.Dropped)
	v.lines = 6
	_, _ = io.WriteString(v.out, b.String())
}

// end leaves the last picture as it is.
func (v *liveView) end() { v.lines = 0 }

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// spark is the latest values as bars, as many as there is room for.
func (v *liveView) spark(values []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	values = values[max(0, len(values)-(v.width-38)):]
	highest := 0.0
	for _, x := range values {
		highest = max(highest, x)
	}
	var b strings.Builder
	for _, x := range values {
		level := 0
		if highest > 0 {
			level = int(x / highest * 7)
		}
		b.WriteRune([]rune(bars)[level])
	}
	return b.String()
}
