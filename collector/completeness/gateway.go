package completeness

import (
	"slices"
	"time"
)

// gateway is what is known of one gateway. The Watcher's mutex guards it.
type gateway struct {
	name, zone string
	ledger     ledger
	last       Sample    // zero: none yet
	heard      time.Time // of this clock, when last came; zero: never
	gone       time.Time // when its counters ended to come
	began      time.Time // since when its log has been received
	restored   bool      // what an earlier collector knew has been asked for
	waiting    []Sample  // for that: the first and the last
	settled    int64     // up to here nothing more is expected from its log
	forgotten  int64     // calls lost in minutes that are no longer kept
	lost       int64     // calls lost, ever; never falls
	unstored   int64     // rows that are not in ClickHouse, ever; never falls
	saved      map[int64]saved
}

// saved is a row as it was stored last, by its end.
type saved struct {
	row Row
	at  time.Time
}

// sample takes a reading of the gateway's counters.
func (g *gateway) sample(s Sample, now time.Time) {
	g.heard = now
	if s.Zone != "" {
		g.zone = s.Zone
	}
	if !g.restored {
		if len(g.waiting) > 1 {
			g.waiting = g.waiting[:1]
		}
		g.waiting = append(g.waiting, s)
		return
	}
	g.account(s)
}

// account closes an interval with s.
func (g *gateway) account(s Sample) {
	at := s.Time.UnixMicro()
	switch {
	case len(g.ledger.marks) == 0:
		g.first(s)
	case at <= g.ledger.end():
		return // a clock that was set back: the next one will do
	case s.restarted(g.last):
		if read := g.ledger.end() + g.last.Took.Microseconds() + finest; read < at { // calls are known to within that
			g.ledger.close(mark{at: read, grey: true})
		}
		death, known := s.death(g.last, g.gone)
		g.ledger.close(mark{at: death, blind: true, killed: known, cut: int64(g.last.Active)})
		g.ledger.close(s.mark(Sample{}))
	default:
		g.ledger.close(s.mark(g.last))
	}
	g.last = s
}

// first begins counting: with the gateway's start when its log has been received
// since then, else now.
func (g *gateway) first(s Sample) {
	at := s.Time.UnixMicro()
	if from := g.began.UnixMicro(); s.started() > from && from < at {
		g.ledger.begin(mark{at: from})
		g.ledger.close(s.mark(Sample{}))
		return
	}
	g.ledger.begin(s.mark(s))
}

// resume goes on with the rows of an earlier collector, oldest first, of which the
// last without a gap are of use.
func (g *gateway) resume(rows []Row) {
	g.restored = true
	for i := len(rows) - 1; i > 0; i-- {
		if !rows[i].Since.Equal(rows[i-1].Until) {
			rows = rows[i:]
			break
		}
	}
	if len(rows) > 0 {
		marks := []mark{{at: rows[0].Since.UnixMicro()}}
		for _, r := range rows {
			marks = append(marks, r.mark())
			if r.Settled {
				g.settled = r.Until.UnixMicro()
				g.saved[g.settled] = saved{row: r}
			}
		}
		g.ledger.begin(marks...)
		if i := slices.IndexFunc(g.ledger.marks, func(m mark) bool { return m.shared }); i > 1 {
			g.forgotten = -g.ledger.lostUpTo(g.ledger.sheet(), i-1) // was told of before
		} else if i < 0 {
			g.forgotten = -g.ledger.lostUpTo(g.ledger.sheet(), len(g.ledger.marks)-1)
		}
		g.last = rows[len(rows)-1].sample()
	}
	for i, s := range g.waiting {
		known := len(g.ledger.marks)
		g.account(s)
		if i > 0 || len(rows) == 0 {
			continue
		}
		for k := known; k < len(g.ledger.marks); k++ { // an earlier collector had a part
			g.ledger.marks[k].shared, g.ledger.marks[k].edge = true, true
		}
	}
	g.waiting = nil
}

// settle moves on what is settled to the last mark before a moment, and counts
// what is lost up to there.
func (g *gateway) settle(before int64) {
	marks := g.ledger.marks
	i := len(marks) - 1
	for i >= 0 && marks[i].at > before {
		i--
	}
	if shared := slices.IndexFunc(marks, func(m mark) bool { return m.shared }); shared >= 0 {
		i = min(i, shared-1) // ClickHouse has to be asked first
	}
	if i < 0 {
		return
	}
	g.settled = max(g.settled, marks[i].at)
	g.ledger.guess()
	g.lost = max(g.lost, g.forgotten+g.ledger.lostUpTo(g.ledger.sheet(), i))
}

// window is the account of the last settled minute.
func (g *gateway) window() (calls, lost int64) {
	marks := g.ledger.marks
	k := len(marks) - 1
	for k >= 0 && marks[k].at > g.settled {
		k--
	}
	if k <= 0 {
		return 0, 0
	}
	j := k - 1
	for j > 0 && marks[j].at > marks[k].at-minute {
		j--
	}
	s := g.ledger.sheet()
	for i := j + 1; i <= k; i++ {
		calls += s.counted[i] + marks[i].estimate
	}
	return calls, g.ledger.lostUpTo(s, k) - g.ledger.lostUpTo(s, j)
}

// late is how many calls were counted and are still expected.
func (g *gateway) late() int64 {
	missing := g.ledger.sheet().missing
	n := len(missing)
	i := 0
	for i < n-1 && g.ledger.marks[i+1].at <= g.settled {
		i++
	}
	if n == 0 {
		return 0
	}
	return missing[n-1] - missing[i]
}

// rows are the minutes that are over, oldest first. With all, the one that is not
// is there, too.
func (g *gateway) rows(all bool) (rows []Row) {
	marks, s := g.ledger.marks, g.ledger.sheet()
	from := 0
	for i := 1; i < len(marks); i++ {
		if marks[i].edge || all && i == len(marks)-1 {
			rows = append(rows, g.row(from, i, s))
			from = i
		}
	}
	return rows
}

// row is the account of the marks after from up to to.
func (g *gateway) row(from, to int, s sheet) Row {
	marks := g.ledger.marks
	r := Row{
		Minute: time.UnixMicro(minuteOf(marks[from].at)), Gateway: g.name, GatewayZone: g.zone,
		Since: time.UnixMicro(marks[from].at), Until: time.UnixMicro(marks[to].at),
	}
	for i := from + 1; i <= to; i++ {
		m := marks[i]
		r.Counted += s.counted[i]
		r.Received += m.received
		r.Rows += m.rows
		r.Estimated += m.estimate
		r.InFlight += m.cut
		r.Dropped += m.dropped
	}
	if gap := s.missing[to] - s.missing[from]; marks[to].at <= g.settled {
		r.Lost, r.Settled = gap, true
	} else {
		r.Late = gap
	}
	r.Completed, r.Uptime = marks[to].completed, marks[to].uptime
	return r
}

// forget drops minutes before a moment.
func (g *gateway) forget(before int64) {
	g.forgotten += g.ledger.forget(before)
	if len(g.ledger.marks) == 0 {
		return
	}
	begin := g.ledger.marks[0].at
	for at := range g.saved {
		if at < begin {
			delete(g.saved, at)
		}
	}
}

// told corrects the interval that ends at until by what ClickHouse has of it,
// because another collector received a part.
func (g *gateway) told(until, stored, calls int64) {
	for i := range g.ledger.marks {
		m := &g.ledger.marks[i]
		if m.at == until && m.shared {
			m.shared = false
			if !m.blind {
				calls = min(calls, m.counted)
			}
			m.received = max(m.received, calls)
			m.rows = max(m.rows, stored)
		}
	}
}
