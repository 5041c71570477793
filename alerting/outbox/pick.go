package outbox

import (
	"slices"
	"time"
)

// digestGuess is about how many groups one digest has room for, to tell how many
// places of the window digests need. How many it really holds, rendering finds out.
const digestGuess = 100

// choice is what goes out now, and how. Several entries make one digest.
type choice struct {
	entries []*entry
	target  string
	lane    *lane
}

// candidate is a robot of a channel, with its places for pages and for the rest.
type candidate struct {
	name            string
	lane            *lane
	urgent, routine int // places that are free; 0 while it is left alone
}

func (c candidate) free(urgent bool) int {
	if urgent {
		return c.urgent
	}
	return c.routine
}

// pick chooses what a channel sends now. Without entries, wait says how long until
// it should be asked again; 0 means that only a message or an answer changes anything.
func (o *Outbox) pick(q *queue, now time.Time) (ch choice, wait time.Duration) {
	if len(q.waiting) == 0 {
		return choice{}, 0
	}
	lanes := o.candidates(q.channel, now)
	e, to := q.first(lanes)
	if e == nil {
		return choice{}, o.opens(q, now)
	}
	ch = choice{entries: []*entry{e}, target: to.name, lane: to.lane}
	if q.channel.Receiver != "" || e.parts > 0 {
		return ch, 0
	}
	free := freeOf(lanes, e.urgent)
	paced := free <= o.pacedBelow(lanes, e.urgent)
	if paced {
		if wait := pace(lanes, free, o.cfg.Window).Sub(now); wait > 0 {
			return choice{}, wait
		}
	}
	if n := q.unstarted(e.urgent && free > 1 && !paced); n > 1 && (paced || free <= digests(n, free)) {
		// The worst come first; rendering takes as many as there is room for.
		ch.entries = q.forDigest()
		to = freest(lanes, e.urgent)
		ch.target, ch.lane = to.name, to.lane
	}
	return ch, 0
}

func freeOf(lanes []candidate, urgent bool) (free int) {
	for _, l := range lanes {
		free += l.free(urgent)
	}
	return free
}

// pacedBelow is how many free places are spread over the rest of the window, so that
// a storm that goes on is told all the time, not once in a window: half of those for
// messages other than pages, and for pages the last one of each robot.
func (o *Outbox) pacedBelow(lanes []candidate, urgent bool) int {
	if urgent {
		return min(len(lanes), o.cfg.Reserve*len(lanes))
	}
	return len(lanes) * (o.cfg.Limit - o.cfg.Reserve) / 2
}

// pace is when the next of the free places is used: they are spread evenly until the
// oldest message leaves the window.
func pace(lanes []candidate, free int, window time.Duration) time.Time {
	var last, oldest time.Time
	for _, l := range lanes {
		if n := len(l.lane.sends); n > 0 {
			last = maxTime(last, l.lane.sends[n-1])
			if oldest.IsZero() || l.lane.sends[0].Before(oldest) {
				oldest = l.lane.sends[0]
			}
		}
	}
	return last.Add(oldest.Add(window).Sub(last) / time.Duration(free+1))
}

// digests is how many of the free places have to carry digests, for n messages to be
// told within them.
func digests(n, free int) int {
	if n <= free {
		return 0
	}
	return (n - free + digestGuess - 2) / (digestGuess - 1)
}

func (o *Outbox) candidates(c Channel, now time.Time) []candidate {
	cs := make([]candidate, 0, len(c.targets()))
	for _, name := range c.targets() {
		l := o.lane(c, name)
		l.forget(now, o.cfg.Window)
		urgent, routine := o.limits(c)
		x := candidate{name: name, lane: l}
		if !l.until.After(now) {
			x.urgent, x.routine = max(urgent-len(l.sends), 0), max(routine-len(l.sends), 0)
		}
		cs = append(cs, x)
	}
	return cs
}

// limits of a robot of a channel: for pages, and for other messages.
func (o *Outbox) limits(c Channel) (urgent, routine int) {
	if c.Receiver != "" {
		return noLimit, noLimit
	}
	return o.cfg.Limit, o.cfg.Limit - o.cfg.Reserve
}

// first is what goes next of what has a robot that can take it now.
func (q *queue) first(lanes []candidate) (e *entry, to candidate) {
	urgent, routine := freest(lanes, true), freest(lanes, false)
	for _, x := range q.waiting {
		if x.flying || x.replaced || (e != nil && before(x, e) > 0) {
			continue
		}
		open := routine
		if x.urgent {
			open = urgent
		}
		if open.lane == nil || q.flying[x.group.Key] { // messages of one matter must not overtake each other
			continue
		}
		if own := q.thread(x); own != "" {
			if l, ok := named(lanes, own); ok && l.free(x.urgent) > 0 {
				if l.lane.flying {
					continue // it has a place as soon as it has answered
				}
				open = l
			}
		}
		e, to = x, open
	}
	return e, to
}

// thread is the robot that knows the matter already.
func (q *queue) thread(e *entry) string {
	if e.robot != "" {
		return e.robot
	}
	return q.threads.robots[e.group.Key]
}

// freest is the robot with the most free places that is not sending; of several the
// one that was idle longest.
func freest(lanes []candidate, urgent bool) (best candidate) {
	for _, l := range lanes {
		n, most := l.free(urgent), best.free(urgent)
		if n == 0 || l.lane.flying {
			continue
		}
		if best.lane == nil || n > most || (n == most && l.lane.last.Before(best.lane.last)) {
			best = l
		}
	}
	return best
}

func named(lanes []candidate, name string) (candidate, bool) {
	i := slices.IndexFunc(lanes, func(c candidate) bool { return c.name == name })
	if i < 0 {
		return candidate{}, false
	}
	return lanes[i], true
}

// unstarted counts what a digest could hold: pages alone, or all.
func (q *queue) unstarted(urgent bool) (n int) {
	for _, e := range q.waiting {
		if e.parts == 0 && !e.flying && !e.replaced && (!urgent || e.urgent) {
			n++
		}
	}
	return n
}

func (q *queue) forDigest() []*entry {
	var es []*entry
	for _, e := range q.waiting {
		if e.parts == 0 && !e.flying && !e.replaced && !q.flying[e.group.Key] {
			es = append(es, e)
		}
	}
	slices.SortStableFunc(es, worst)
	return es
}

// opens is how long until a robot has room for something that waits; 0: nothing
// waits, or what waits does so for an answer.
func (o *Outbox) opens(q *queue, now time.Time) (wait time.Duration) {
	urgent, routine := o.limits(q.channel)
	for _, class := range []struct {
		limit int
		has   bool
	}{{urgent, q.has(true)}, {routine, q.has(false)}} {
		for _, name := range q.channel.targets() {
			l := o.lane(q.channel, name)
			if d := l.opens(now, class.limit, o.cfg.Window).Sub(now); class.has && d > 0 && (wait == 0 || d < wait) {
				wait = d
			}
		}
	}
	return wait
}

func (q *queue) has(urgent bool) bool {
	return slices.ContainsFunc(q.waiting, func(e *entry) bool { return !e.flying && e.urgent == urgent })
}
