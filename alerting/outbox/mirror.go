package outbox

import (
	"bytes"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// mirrors are the outboxes of peers as this process knows them, by ID.
type mirrors struct {
	mu     sync.Mutex // guards all below; taken before an outbox's own
	all    map[string]*mirror
	recent map[matter]accepted
}

// mirror is what waits in a peer's outbox: an outbox that never sends.
type mirror struct {
	state *Outbox
	at    uint64 // number of the last piece
}

// accepted is the last that any peer has accepted of a matter.
type accepted struct {
	at  time.Time
	sum uint64 // of what it says
}

// ID tells the outbox from others; it lives as long as its folder.
func (o *Outbox) ID() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.name()
}

// image is all that a peer must know, and the number of the piece that it is as of.
func (o *Outbox) image(now time.Time) (lines []byte, at uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, _ = o.stream.position()
	recs := o.stream.tries(now, o.cfg.Window)
	for name, l := range o.lanes {
		if l.until.After(now) && l.fails == 0 { // silenced, not backing off
			recs = append(recs, record{Op: opBlock, At: l.until, Robot: name})
		}
	}
	for _, q := range o.queues {
		recs = append(recs, q.snapshot()...)
	}
	recs = append(recs, o.tookRecords()...)
	for _, r := range recs {
		line, err := encodeLine(r)
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, line...)
	}
	return lines, at, nil
}

// take applies what a peer has told: an image, or pieces after number from. It is
// false when pieces between are missing.
func (o *Outbox) take(peer string, image bool, from, to uint64, lines []byte) (ok bool, err error) {
	var recs []record
	for line := range bytes.Lines(lines) {
		r, err := decodeLine(line)
		if err != nil {
			return false, err
		}
		recs = append(recs, r)
	}
	o.mirrors.mu.Lock()
	defer o.mirrors.mu.Unlock()
	m := o.mirrors.all[peer]
	switch {
	case image:
		m = &mirror{state: o.blank()}
		o.mirrors.all[peer] = m
	case m == nil || m.at != from:
		return false, nil
	}
	for _, r := range recs {
		o.takeOne(m, r, image)
	}
	clear(m.state.lanes) // what counts of them is counted below
	m.at = to
	o.mu.Lock()
	defer o.mu.Unlock()
	// What was taken over here does not wait there, whatever the peer knows of it.
	for _, q := range m.state.queues {
		q.remove(o.took[peer].seqs)
	}
	for _, r := range recs {
		o.count(r)
	}
	return true, nil
}

func (o *Outbox) takeOne(m *mirror, r record, image bool) {
	if r.Op == opTook {
		if r.Origin == o.ID() {
			o.giveAway(r.Seqs)
		} else if other := o.mirrors.all[r.Origin]; other != nil {
			for _, q := range other.state.queues {
				q.remove(r.Seqs)
			}
		}
		return
	}
	m.state.apply(r)
	if r.Op == opPut && r.Group != nil && !image {
		o.mirrors.note(r)
	}
}

func (m *mirrors) note(r record) {
	if len(m.recent) > mostLatest {
		maps.DeleteFunc(m.recent, func(_ matter, a accepted) bool { return r.At.Sub(a.at) > time.Minute })
	}
	m.recent[matter{r.channel(), r.Group.Key}] = accepted{r.At, sum(*r.Group)}
}

// blank is an outbox for what a peer says; it has no files.
func (o *Outbox) blank() *Outbox {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &Outbox{cfg: Config{Channels: o.cfg.Channels, Window: o.cfg.Window}, queues: map[string]*queue{}, lanes: map[string]*lane{}, next: 1}
}

// count adds what a peer sent to a robot to what this process may send no more.
func (o *Outbox) count(r record) {
	switch r.Op {
	case opTry:
		if strings.HasPrefix(r.Robot, receiverLane("")) {
			return
		}
		l := o.laneNamed(r.Robot)
		if at, known := slices.BinarySearchFunc(l.sends, r.At, time.Time.Compare); !known {
			l.sends = slices.Insert(l.sends, at, r.At)
		}
	case opBlock:
		if l := o.laneNamed(r.Robot); r.At.After(l.until) {
			l.until = r.At
		}
	}
}

// took is what was taken over from a peer.
type took struct {
	at   time.Time
	seqs []uint64
}

// tookFor is how long it is remembered what was taken over: a peer that is away for
// longer tells its messages once more when it is back.
const tookFor = 7 * 24 * time.Hour

func (o *Outbox) tookRecords() (recs []record) {
	for peer, t := range o.took {
		recs = append(recs, record{Op: opTook, At: t.at, Origin: peer, Seqs: t.seqs})
	}
	return recs
}

func (o *Outbox) applyTook(r record) {
	t := o.took[r.Origin]
	if time.Since(r.At) > tookFor {
		return
	}
	if o.took == nil {
		o.took = map[string]took{}
	}
	o.took[r.Origin] = took{at: maxTime(t.at, r.At), seqs: append(slices.Clip(t.seqs), r.Seqs...)}
}

// TakenOver are the numbers of what was taken over from a peer.
func (o *Outbox) TakenOver(peer string) []uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.took[peer].seqs)
}

// GiveAway forgets what a peer has taken over, unless it is being sent.
func (o *Outbox) GiveAway(numbers []uint64) { o.giveAway(numbers) }

func (o *Outbox) giveAway(numbers []uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	var recs []record
	for _, name := range slices.Sorted(maps.Keys(o.queues)) {
		q := o.queues[name]
		dead := record{Op: opDead, At: now, Robot: name, To: name, Reason: "another instance has taken it over"}
		for _, e := range q.find(numbers) {
			if !e.flying {
				dead.Seqs = append(dead.Seqs, e.seq)
			}
		}
		if len(dead.Seqs) > 0 {
			recs = append(recs, dead)
		}
	}
	if len(recs) == 0 {
		return
	}
	if err := o.journal.append(recs...); err != nil {
		o.log.Error("outbox log cannot be written", "err", err)
	}
	o.accept(recs)
}

// TakeOver accepts all that waits in the mirror of a peer which is gone, and returns
// how many messages that are. A message of which something newer was accepted here is
// superseded. The peer, when it is back, is told.
func (o *Outbox) TakeOver(peer string) (messages int, err error) {
	o.mirrors.mu.Lock()
	defer o.mirrors.mu.Unlock()
	m := o.mirrors.all[peer]
	if m == nil {
		return 0, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	recs := []record{{Op: opTook, At: time.Now(), Origin: peer}}
	for _, name := range slices.Sorted(maps.Keys(m.state.queues)) {
		for _, e := range m.state.queues[name].waiting {
			if e.replaced {
				continue
			}
			recs[0].Seqs = append(recs[0].Seqs, e.seq)
			if !o.stream.knowsNewer(matter{name, e.group.Key}, e.at) {
				recs = append(recs, o.adopt(name, e, o.next+uint64(messages))...)
				messages++
			}
		}
	}
	if len(recs[0].Seqs) == 0 {
		return 0, nil
	}
	if err := o.journal.append(recs...); err != nil {
		return 0, err
	}
	o.accept(recs)
	delete(o.mirrors.all, peer)
	return messages, nil
}

func (s *stream) knowsNewer(m matter, than time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest[m].After(than)
}

// adopt accepts a peer's message under number seq. It keeps its mark, so that a copy
// that the peer has sent is known as one, and the parts that were sent.
func (o *Outbox) adopt(channel string, e *entry, seq uint64) []record {
	g := e.group
	put := record{Op: opPut, At: e.at, Since: e.accepted, Robot: channel, Seqs: []uint64{seq}, Via: e.via}
	if q := o.queues[channel]; q != nil {
		if old := q.newest[g.Key]; old != nil {
			g = dingtalk.Merge(old.group, g)
			put.Replaces = []uint64{old.seq}
			put.Since = minTime(put.Since, old.accepted)
		}
	}
	put.Group = &g
	recs := []record{put}
	if e.parts > 0 && len(put.Replaces) == 0 {
		recs = append(recs, record{Op: opPart, At: e.rendered, Robot: e.robot, Channel: channel, Seqs: []uint64{seq}, Part: e.parts})
	}
	return recs
}

// Knows reports whether a peer has accepted the very same message not longer than
// within ago, and nothing else of its matter since: then it need not be told again.
func (o *Outbox) Knows(channel string, g dingtalk.Group, within time.Duration) bool {
	o.mirrors.mu.Lock()
	defer o.mirrors.mu.Unlock()
	a, ok := o.mirrors.recent[matter{channel, g.Key}]
	return ok && time.Since(a.at) <= within && a.sum == sum(g)
}

// sum of which alerts fire and which ended.
func sum(g dingtalk.Group) uint64 {
	var all []string
	for _, a := range g.Alerts {
		all = append(all, a.Fingerprint+strconv.FormatBool(a.Firing()))
	}
	slices.Sort(all)
	h := fnv.New64a()
	h.Write([]byte(strings.Join(all, "\n")))
	return h.Sum64()
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
