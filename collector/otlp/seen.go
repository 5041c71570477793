package otlp

import "crypto/sha256"

// requestID names a request by its bytes.
type requestID [16]byte

func identify(message []byte) requestID {
	sum := sha256.Sum256(message)
	return requestID(sum[:16])
}

// seen remembers the requests that were stored last. It is not safe for concurrent
// use. A request costs about 64 bytes.
type seen struct {
	known map[requestID]struct{}
	ring  []requestID
	next  int
}

// rememberRequests is how many requests are remembered while the process lives: at
// 100 requests a second, the last five minutes.
const rememberRequests = 32 << 10

// carryRequests is how many of them each block carries into the log, at most: those
// of that block and of the one before, whose answers may not have arrived when the
// process dies. More are not carried: 64 KiB beside a block.
const carryRequests = 4 << 10

func newSeen(size int) *seen {
	return &seen{known: map[requestID]struct{}{}, ring: make([]requestID, 0, size)}
}

func (s *seen) has(id requestID) bool {
	_, ok := s.known[id]
	return ok
}

func (s *seen) add(id requestID) {
	if s.has(id) {
		return
	}
	s.known[id] = struct{}{}
	if len(s.ring) < cap(s.ring) {
		s.ring = append(s.ring, id)
		return
	}
	delete(s.known, s.ring[s.next])
	s.ring[s.next] = id
	s.next = (s.next + 1) % len(s.ring)
}

// appendIDs writes ids as the log keeps them beside a block, the newest ones if
// there are too many.
func appendIDs(dst []byte, older, newer []requestID) []byte {
	newer = newer[max(0, len(newer)-carryRequests):]
	older = older[max(0, len(older)-(carryRequests-len(newer))):]
	for _, ids := range [][]requestID{older, newer} {
		for _, id := range ids {
			dst = append(dst, id[:]...)
		}
	}
	return dst
}

func readIDs(b []byte) (ids []requestID) {
	for len(b) >= len(requestID{}) {
		ids = append(ids, requestID(b[:len(requestID{})]))
		b = b[len(requestID{}):]
	}
	return ids
}
