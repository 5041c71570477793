package completeness

import "math"

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
	cut      int64 // calls in flight at the last reading before it, which are in no log
	estimate int64 // calls that ended in it and were never told of

	completed, uptime int64 // of the gateway: its counter and its age, seconds

	shared bool // this collector, before it was started again, received a part
	edge   bool // the first mark of a minute, which is never merged away
}

// deficit is how many more calls the gateway counted than its log had.
func (m mark) deficit() int64 {
	if m.blind {
		return 0
	}
	return m.counted - m.received
}

// calls is how many calls there were, as far as anybody knows.
func (m mark) calls() int64 {
	if m.blind {
		return m.received + m.estimate
	}
	return m.counted + m.estimate
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

// missing[i] is how many calls are missing up to mark i, since counting began: the
// smallest deficit of any later moment. It never falls from one mark to the next.
func (l *ledger) missing() []int64 {
	sums := make([]int64, len(l.marks))
	for i := 1; i < len(sums); i++ {
		sums[i] = sums[i-1] + l.marks[i].deficit()
	}
	for i := len(sums) - 2; i >= 0; i-- {
		sums[i] = min(sums[i], sums[i+1])
	}
	return sums
}

// guess estimates what gateways that died never told: the rate of the interval
// before × the time between the last call in the log and the death.
func (l *ledger) guess() {
	for i := 2; i < len(l.marks); i++ {
		m, before := &l.marks[i], l.marks[i-1]
		length := before.at - l.marks[i-2].at
		if !m.killed || m.shared || length <= 0 {
			continue
		}
		silence := min(m.at-max(before.at, m.told), longestSilence)
		m.estimate = int64(math.Round(float64(max(0, before.counted)) / float64(length) * float64(silence)))
	}
}

// longestSilence bounds an estimate: a gateway writes its log at least that often.
const longestSilence = 10_000_000 // microseconds

// merge joins the intervals before keep, until old minutes are one mark each. What
// is blind stays by itself, with the two marks that its estimate is made from.
func (l *ledger) merge(keep int64) {
	if len(l.marks) == 0 {
		return
	}
	kept := l.marks[:1]
	for i := 1; i < len(l.marks); i++ {
		m := l.marks[i]
		if n := len(kept); n > 1 && m.at < keep && !l.fixed(i-1) && kept[n-1].shared == m.shared && !m.blind {
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
	m := l.marks[i]
	return m.edge || m.blind || l.marks[i+1].blind || i+2 < len(l.marks) && l.marks[i+2].blind
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
	lost = l.missing()[first] - l.missing()[0]
	for _, m := range l.marks[1 : first+1] {
		lost += m.estimate
	}
	l.marks = append(l.marks[:0], l.marks[first:]...)
	return lost
}

const minute = int64(60e6) // microseconds

// minuteOf is the start of the minute of a mark.
func minuteOf(at int64) int64 { return at - at%minute }
