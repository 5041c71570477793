package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/internal/app"
)

// findView shows a search while it goes on: a line for each step, and on a terminal,
// below them, what the probe under way sees, drawn again once a second. Steps and ticks
// come from different goroutines.
type findView struct {
	mu     sync.Mutex
	out    io.Writer
	width  int // columns of the terminal; 0: none
	lines  int // drawn last
	budget time.Duration
	broken int // requests that may break the objective

	steps, broke int
	load         float64 // seconds
	rate, low    float64 // what is known so far; 0: nothing
}

func (e *env) newFindView(c search.Config) *findView {
	return &findView{out: e.err, width: e.newLiveView("").width, budget: c.Budget, broken: c.MaxBroken}
}

// step is the end of one.
func (v *findView) step(s search.StepResult) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.steps++
	v.broke += s.Broke
	v.load += s.Seconds
	v.rate, v.low = s.Estimate, s.Low
	text := fmt.Sprint(s)
	if s.Pod != nil && s.Pod.CPU > 0 {
		text += fmt.Sprintf(", %.2f cores", s.Pod.CPU)
	}
	_, _ = io.WriteString(v.out, v.clear()+text+"\n")
}

// tick is a second of the probe under way.
func (v *findView) tick(p app.FindProgress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.width == 0 {
		return
	}
	var b strings.Builder
	b.WriteString(v.clear())
	for _, line := range v.picture(p) {
		text := []rune(line)
		b.WriteString(string(text[:min(len(text), v.width-1)]) + "\n")
		v.lines++
	}
	_, _ = io.WriteString(v.out, b.String())
}

func (v *findView) picture(p app.FindProgress) []string {
	known := "nothing yet"
	if v.rate > 0 {
		known = fmt.Sprintf("%.1f/s, at least %.1f/s", v.rate, v.low)
	}
	load := time.Duration(v.load * float64(time.Second))
	return []string{
		fmt.Sprintf("step %-3d %8.1f/s offered, %.0f/s sent  %v of %v", v.steps+1, p.Rate, p.Load.Rate, p.Load.Elapsed.Round(time.Second), p.For.Round(time.Second)),
		fmt.Sprintf("p99      %10v  p50 %v  %d in flight  lag p99 %v", short(p.Load.NowP99), short(p.Load.NowP50), p.Load.InFlight, short(p.Load.NowLagP99)),
		"limit    " + known,
		fmt.Sprintf("used     %v of %v, %d of %d requests broke the objective", (load + p.Load.Elapsed).Round(time.Second), v.budget, v.broke, v.broken),
	}
}

// clear takes away what was drawn.
func (v *findView) clear() string {
	n := v.lines
	if v.lines = 0; n == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\x1b[J", n) // up, and clear what is below
}

// end takes away what is drawn, the steps stay.
func (v *findView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, _ = io.WriteString(v.out, v.clear())
}
