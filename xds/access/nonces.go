package access

import (
	"sync"
	"time"
)

// nonces remembers which were used. One is forgotten when no timestamp that goes
// with it can be good any more.
//
// At most perConsumer are held for a consumer, about 150 bytes each, so one that
// signs more than that in a window is refused, and harms no other.
type nonces struct {
	mu        sync.Mutex
	consumers map[string]*used
}

// used is in two generations: the older one is dropped whole.
type used struct {
	young, old map[string]struct{}
	turned     time.Time // when young became old the last time
}

const perConsumer = 500_000

// take tells whether a nonce is new, and remembers it. full: it cannot be
// remembered.
func (n *nonces) take(consumer, nonce string, now time.Time, keep time.Duration) (fresh, full bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	u := n.consumers[consumer]
	if u == nil {
		u = &used{young: map[string]struct{}{}, turned: now}
		n.consumers[consumer] = u
	}
	if now.Sub(u.turned) > keep {
		u.young, u.old, u.turned = map[string]struct{}{}, u.young, now
	}
	if _, again := u.young[nonce]; again {
		return false, false
	}
	if _, again := u.old[nonce]; again {
		return false, false
	}
	if len(u.young)+len(u.old) >= perConsumer {
		return false, true
	}
	u.young[nonce] = struct{}{}
	return true, false
}
