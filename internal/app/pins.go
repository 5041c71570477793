package app

import (
	"crypto/rand"
	"fmt"
	"maps"
	"time"

	"github.com/kongdao/kongdao/xds"
)

// take pins a pod for at most ttl and returns the lease's id. The pod is given back
// at its end also when the process that took it, or this one, has died.
func (m *moved) take(function, address string, ttl time.Duration) (string, xds.Pin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return "", xds.Pin{}, fmt.Errorf("pin %s: %w", address, errStopping)
	}
	pin, err := m.xds.Pin(function, address)
	if err != nil {
		return "", pin, err
	}
	id, lease := rand.Text(), pinLease{Pin: pin, Until: time.Now().Add(ttl)}
	next := m.shifts
	next.Pins = maps.Clone(m.shifts.Pins)
	next.Pins[id] = lease
	if err := m.file.save(next); err != nil {
		m.xds.Unpin(pin)
		return "", xds.Pin{}, err
	}
	m.shifts = next
	m.expirePin(id, lease.Until)
	return id, pin, nil
}

func (m *moved) expirePin(id string, at time.Time) {
	m.expire("pin/"+id, at, func() { m.release(id) })
}

// release gives a pod back. An unknown id is one that has been released.
func (m *moved) release(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.give(id)
}

// give is release under the lock.
func (m *moved) give(id string) {
	lease, ok := m.shifts.Pins[id]
	if !ok {
		return
	}
	m.expire("pin/"+id, time.Time{}, nil)
	m.xds.Unpin(lease.Pin)
	next := m.shifts
	next.Pins = maps.Clone(m.shifts.Pins)
	delete(next.Pins, id)
	m.shifts = next
	if err := m.file.save(next); err != nil {
		// The lease ends by itself after a restart too.
		m.log.Error("pod that was given back", "error", err)
	}
}

// releaseAll gives back every pod.
func (m *moved) releaseAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.shifts.Pins {
		m.give(id)
	}
}
