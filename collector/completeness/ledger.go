package completeness

import (
	"math"
	"slices"
)

// mark closes the interval since the mark before: the calls that ended within it.
type mark struct {
	at int64 // microseconds since 1970

	counted  int64 // calls that the gateway counted
	received int64 // calls that came out of its log
	rows     int64 // rows made of them and of connections; a call that sampling leaves out has none
	dropped  int64 // calls that the gateway itself says it dropped
	longest  int64 // the longest call received, microseconds
	told     int64 // end of the last call received; 0: none

	blind    bool  // nobody counted: between a gateway's last reading and its death
	killed   bool  // and its moment is known
	grey     bool  // while that last reading took place: calls may have been counted
	cut      int64 // calls in flight at the last reading before it, which are in no log
	estimate int64 // calls that ended in it and were never told of

	completed, uptime int64 // of the gateway: its counter and its age, seconds

	shared bool // this collector, before it was started again, received a part
	edge   bool // the first mark of a minute, which is never merged away
}

func (m *mark) take(b bucket) {
	m.received += b.calls
	m.rows += b.rows
	m.longest = max(m.longest, b.longest)
	m.told = max(m.told, b.at)
}

// ledger is the account of one gateway. It is not safe for concurrent use.
type ledger struct {
	marks []mark // oldest first; the first has no interval: it is where counting begins
	ahead tally  // calls that ended after the last mark, or came before the first
}

// end is where the last interval ends; 0 before the first mark.
func (l *ledger) end() int64 {
	if len(l.marks) == 0 {
		return 0
	}
	return l.marks[len(l.marks)-1].at
}

// receive notes calls. Those from before counting began are nobody's.
func (l *ledger) receive(b bucket) {
	if b.at > l.end() {
		l.ahead.add(b)
		return
	}
	if i := l.find(b.at); i > 0 {
		l.marks[i].take(b)
	}
}

// find is the index of the mark that closes the interval of at. Late calls are
// nearly always of the last intervals.
func (l *ledger) find(at int64) int {
	i := len(l.marks) - 1
	for i > 0 && l.marks[i-1].at >= at {
		i--
	}
	return i
}

// begin starts counting with marks, and gives calls that were waiting their place.
func (l *ledger) begin(marks ...mark) {
	l.marks = append(l.marks[:0], marks...)
	l.marks[0].edge = true
	waiting := l.ahead.buckets
	l.ahead = tally{}
	for _, b := range waiting {
		l.receive(b)
	}
}

// close ends the open interval with m. A mark that is not after the last is left
// out.
func (l *ledger) close(m mark) {
	if m.at <= l.end() {
		return
	}
	m.take(l.ahead.takeUpTo(m.at))
	m.edge = minuteOf(m.at) != minuteOf(l.end())
	l.marks = append(l.marks, m)
}

// sheet is what follows from the marks of a ledger, by their index.
type sheet struct {
	// missing is how many calls are missing up to a mark, since counting began: the
	// smallest difference of counted and received at any later moment. It never
	// falls from one mark to the next.
	missing []int64
	// counted is how many calls there were in the interval of a mark: those that the
	// gateway counted, or those that it told of where nobody counted.
	counted []int64
}

// sheet works it out.
func (l *ledger) sheet() sheet {
	sums, counted := make([]int64, len(l.marks)), make([]int64, len(l.marks))
	for i := 1; i < len(sums); i++ {
		m := l.marks[i]
		deficit := m.counted - m.received
		if m.grey {
			deficit = -min(m.received, max(0, sums[i-1]-slices.Min(sums[max(0, i-levels):i])))
		} else if m.blind {
			deficit = 0
		}
		sums[i] = sums[i-1] + deficit
		counted[i] = m.received + deficit
	}
	for i := len(sums) - 2; i >= 0; i-- {
		sums[i] = min(sums[i], sums[i+1])
	}
	return sheet{missing: sums, counted: counted}
}

// levels is how many marks before a death tell how much was missing at the time:
// what exceeds the least of them at the last reading may be calls that ended while
// it took place, which the log has as later ones.
const levels = 6

// guess estimates what gateways that died never told: the rate of the interval
// before × the time between the last call in the log and the death.
func (l *ledger) guess() {
	for i := 2; i < len(l.marks); i++ {
		m := &l.marks[i]
		k := i - 1
		told := m.told
		if l.marks[k].grey {
			told = max(told, l.marks[k].told)
			k--
		}
		if !m.killed || m.shared || k < 1 {
			continue
		}
		before := l.marks[k]
		length := before.at - l.marks[k-1].at
		silence := min(m.at-max(before.at, told), longestSilence)
		m.estimate = int64(math.Round(float64(max(0, before.counted)) / float64(length) * float64(silence)))
	}
}

// longestSilence bounds an estimate: a gateway writes its log at least that often.
const longestSilence = 10_000_000 // microseconds

// merge joins the intervals before keep, until old minutes are one mark each. What
// is blind stays by itself, with the marks that its estimate is made from.
func (l *ledger) merge(keep int64) {
	if len(l.marks) == 0 {
		return
	}
	kept := l.marks[:1]
	for i := 1; i < len(l.marks); i++ {
		m := l.marks[i]
		if n := len(kept); n > 1 && m.at < keep && !l.fixed(i-1) && kept[n-1].shared == m.shared && !m.blind && !m.grey {
			m.join(kept[n-1])
			kept[n-1] = m
			continue
		}
		kept = append(kept, m)
	}
	l.marks = kept
}

// fixed tells whether mark i must stay. It looks at later marks alone, which merge
// has not touched.
func (l *ledger) fixed(i int) bool {
	if m := l.marks[i]; m.edge || m.blind || m.grey {
		return true
	}
	for _, m := range l.marks[i+1 : min(i+4, len(l.marks))] {
		if m.blind {
			return true
		}
	}
	return false
}

func (m *mark) join(o mark) {
	m.counted += o.counted
	m.received += o.received
	m.rows += o.rows
	m.dropped += o.dropped
	m.estimate += o.estimate
	m.longest = max(m.longest, o.longest)
	m.told = max(m.told, o.told)
}

// forget drops the minutes before a moment and gives how many of their calls are
// missing for good.
func (l *ledger) forget(before int64) (lost int64) {
	first := 0
	for i, m := range l.marks {
		if m.edge && m.at < before {
			first = i
		}
	}
	if first == 0 {
		return 0
	}
	lost = l.lostUpTo(l.sheet(), first)
	l.marks = append(l.marks[:0], l.marks[first:]...)
	return lost
}

// lostUpTo is how many calls are missing up to mark i, estimated ones included.
func (l *ledger) lostUpTo(s sheet, i int) (lost int64) {
	for _, m := range l.marks[1 : i+1] {
		lost += m.estimate
	}
	return lost + s.missing[i] - s.missing[0]
}

const minute = int64(60e6) // microseconds

// minuteOf is the start of the minute of a mark.
func minuteOf(at int64) int64 { return at - at%minute }
