package live

import "time"

// meter counts calls by when they began, by the clock of each gateway: the log brings
// them in bursts, and clocks of gateways differ.
type meter struct {
	gateways map[string]*clock
	open     int64 // the last slots, of which calls may still be missing

	// Since mark.
	own, all float64
}

// clock is what one gateway has logged.
type clock struct {
	counts map[int64]float64 // by slot
	newest int64             // slot
	marked int64             // newest at mark
	heard  time.Time         // by this machine's clock
}

const (
	slot = 100 * time.Millisecond
	// A rate is taken from shortest slots at least, and from up to longest of them until
	// there are enough calls: they come by chance, and 5,000 tell it to 1.4 %.
	shortest, longest, enough = 100, 600, 5000
	// remembered is how many slots are kept.
	remembered = 1200
	// silence is how long a gateway says nothing before its calls count no more.
	silence = 5 * time.Second
)

// newMeter is for calls that mostly end within a time.
func newMeter(took time.Duration) *meter {
	return &meter{gateways: map[string]*clock{}, open: 5 + int64(min(took, 5*time.Second)/slot)}
}

func (m *meter) add(c Call, own bool, now time.Time) {
	g := m.gateways[c.Gateway]
	at := c.At.UnixNano() / int64(slot)
	if g == nil {
		g = &clock{counts: map[int64]float64{}, newest: at, marked: at}
		m.gateways[c.Gateway] = g
	}
	g.heard = now
	w := float64(max(c.Weight, 1))
	g.counts[at] += w
	m.all += w
	if own {
		m.own += w
	}
	if at > g.newest {
		for old := g.newest - remembered; old < at-remembered && old < g.newest; old++ {
			delete(g.counts, old)
		}
		g.newest = at
	}
}

// mark begins a window.
func (m *meter) mark() {
	m.own, m.all = 0, 0
	for _, g := range m.gateways {
		g.marked = g.newest
	}
}

// traffic is how many calls a second there are, of all pods, over the window or, when
// it has few calls, longer.
func (m *meter) traffic(now time.Time) (rate float64) {
	for _, g := range m.gateways {
		if now.Sub(g.heard) < silence {
			rate += g.rate(m.open)
		}
	}
	return rate
}

func (g *clock) rate(open int64) float64 {
	end := g.newest - open
	begin, first := end, end
	n := 0.0
	for window := min(g.marked-open, end-shortest); begin > window || begin > end-longest && n < enough; {
		begin--
		if c := g.counts[begin]; c > 0 {
			n += c
			first = begin
		}
	}
	if first == end {
		return 0
	}
	if first > begin+open { // it has not been heard for longer
		n -= g.counts[first] // of which only a part may be known
		begin = first + 1
	}
	if begin >= end {
		return 0
	}
	return n / (float64(end-begin) * slot.Seconds())
}

// share is the pod's part of the calls of the window; 0: too few calls to tell.
func (m *meter) share() float64 {
	if m.all < fewCalls {
		return 0
	}
	return m.own / m.all
}

// fewCalls tell no share.
const fewCalls = 50
