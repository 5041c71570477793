package app

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/kongdao/kongdao/xds"
)

// pins are the pods that stress tests have taken out of rotation. Each has a lease,
// so that a test whose process dies gives its pod back.
type pins struct {
	xds *xds.Server

	mu     sync.Mutex
	leases map[string]*lease // by id; nil once released for good
}

type lease struct {
	pin   xds.Pin
	timer *time.Timer
}

func newPins(server *xds.Server) *pins { return &pins{xds: server, leases: map[string]*lease{}} }

// take pins a pod for at most ttl and returns the lease's id.
func (p *pins) take(function, address string, ttl time.Duration) (string, xds.Pin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leases == nil {
		return "", xds.Pin{}, fmt.Errorf("pin %s: the system is stopping", address)
	}
	pin, err := p.xds.Pin(function, address)
	if err != nil {
		return "", pin, err
	}
	id := rand.Text()
	p.leases[id] = &lease{pin: pin, timer: time.AfterFunc(ttl, func() { p.release(id) })}
	return id, pin, nil
}

// release gives a pod back. An unknown id is one that has been released.
func (p *pins) release(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.leases[id]; l != nil {
		l.timer.Stop()
		p.xds.Unpin(l.pin)
		delete(p.leases, id)
	}
}

// releaseAll gives back every pod and refuses further ones.
func (p *pins) releaseAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.leases {
		l.timer.Stop()
		p.xds.Unpin(l.pin)
	}
	p.leases = nil
}
