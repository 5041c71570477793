package outbox

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

// stream is the journal as peers follow it. Each write to disk is a piece of it, and
// pieces are numbered from 1.
type stream struct {
	mu        sync.Mutex // guards all below
	last      uint64     // number of the newest piece
	pieces    [][]byte   // the newest ones; a peer that needs older ones gets an image
	size      int        // of pieces, in bytes
	followers map[*follower]bool
	changed   chan struct{} // closed when any of this changes
	// own are the tries of this process by robot: what it counts of its peers' it must
	// not tell them again.
	own map[string][]time.Time
	// latest is when a group was last accepted here, by matter.
	latest map[matter]time.Time
}

// matter is a group in a channel.
type matter struct{ channel, key string }

const (
	mostPieces = 64 << 20 // bytes kept for peers that lag
	mostPost   = 4 << 20  // bytes of pieces in one request, about
	mostLatest = 20_000
)

// follower is a peer that mirrors this outbox.
type follower struct {
	acked uint64
	up    bool // it has all up to acked and answers
}

func newStream() *stream {
	return &stream{followers: map[*follower]bool{}, changed: make(chan struct{}), own: map[string][]time.Time{}, latest: map[matter]time.Time{}}
}

// wake tells everybody who waits that something changed. The stream is locked.
func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// add is called after each write to the journal, with what was written.
func (s *stream) add(recs []record, lines []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		s.note(r)
	}
	s.last++
	s.pieces = append(s.pieces, bytes.Clone(lines))
	s.size += len(lines)
	for s.size > mostPieces {
		s.size -= len(s.pieces[0])
		s.pieces = s.pieces[1:]
	}
	s.wake()
}

func (s *stream) note(r record) {
	switch r.Op {
	case opPut:
		if r.Group == nil {
			return
		}
		m := matter{r.channel(), r.Group.Key}
		if r.At.After(s.latest[m]) {
			s.latest[m] = r.At
		}
		if len(s.latest) > mostLatest {
			for m, t := range s.latest {
				if r.At.Sub(t) > time.Hour {
					delete(s.latest, m)
				}
			}
		}
	case opTry:
		if !strings.HasPrefix(r.Robot, receiverLane("")) {
			s.own[r.Robot] = append(s.own[r.Robot], r.At)
		}
	case opSent, opFail:
		if own := s.own[r.Robot]; len(own) > 0 {
			own[len(own)-1] = r.At
		}
	}
}

// after returns the pieces that follow number at, up to number to. It is false when
// they are not kept any more.
func (s *stream) after(at uint64) (lines []byte, to uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at > s.last || s.last-at > uint64(len(s.pieces)) {
		return nil, 0, false
	}
	to = at
	for _, p := range s.pieces[uint64(len(s.pieces))-(s.last-at):] {
		if len(lines) > mostPost {
			break
		}
		lines = append(lines, p...)
		to++
	}
	return lines, to, true
}

// tries of this process in the window before now.
func (s *stream) tries(now time.Time, window time.Duration) (recs []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for robot, all := range s.own {
		kept := all[:0]
		for _, t := range all {
			if now.Sub(t) < window {
				kept = append(kept, t)
				recs = append(recs, record{Op: opTry, At: t, Robot: robot})
			}
		}
		s.own[robot] = kept
	}
	return recs
}

func (s *stream) join() *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &follower{}
	s.followers[f] = true
	return f
}

func (s *stream) leave(f *follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.followers, f)
	s.wake()
}

// heard notes what a follower has, or that it does not answer.
func (s *stream) heard(f *follower, acked uint64, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.acked, f.up = max(f.acked, acked), up
	s.wake()
}

// position is the newest piece's number and what ends when there is a newer one, or
// anything else changed.
func (s *stream) position() (last uint64, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.changed
}

// missing are the followers that answer and do not have piece number n yet.
func (s *stream) missing(n uint64) (fs []*follower, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.followers {
		if f.up && f.acked < n {
			fs = append(fs, f)
		}
	}
	return fs, s.changed
}
