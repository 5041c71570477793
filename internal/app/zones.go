package app

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/kongdao/kongdao/xds"
)

// moved is what has been moved by hand: the traffic of zones, pods out of
// rotation, and that stress tests are refused. Each is on disk before it is in force, and ends by itself.
type moved struct {
	xds  *xds.Server
	log  *slog.Logger
	file shiftsFile

	mu     sync.Mutex
	closed bool
	shifts shifts
	timers map[string]*time.Timer // by "zone/…", "pin/…" and "marked"
}

// errStopping is for what comes too late.
var errStopping = errors.New("the system is stopping")

// newMoved takes up what was moved when the process before ended, however it
// ended. It has to be called before the control plane runs, so that a drained zone
// never gets a request in between.
func newMoved(server *xds.Server, log *slog.Logger, path string) *moved {
	m := &moved{xds: server, log: log, file: shiftsFile{path}, timers: map[string]*time.Timer{}}
	found, err := m.file.load()
	if err != nil {
		log.Error("zones that were drained", "error", err)
	}
	m.shifts = shifts{Zones: map[string]zoneShift{}, Pins: map[string]pinLease{}}
	now := time.Now()
	for zone, s := range found.Zones {
		if s.Until.IsZero() || s.Until.After(now) {
			m.shifts.Zones[zone] = s
			server.SetZoneWeight(zone, s.Weight)
			m.expireZone(zone, s.Until)
			log.Warn("zone is still drained", "zone", zone, "weight", s.Weight, "until", s.Until)
		}
	}
	m.resumeMarked(found.Marked, now)
	for id, lease := range found.Pins {
		if lease.Until.After(now) {
			m.shifts.Pins[id] = lease
			server.Repin(lease.Pin)
			m.expirePin(id, lease.Until)
			log.Warn("pod is still out of rotation", "function", lease.Pin.Function, "address", lease.Pin.Address, "until", lease.Until)
		}
	}
	return m
}

// movedError is for a step of a drain whose zone somebody else has moved since.
type movedError struct {
	zone      string
	has, from int
}

func (e movedError) Error() string {
	return fmt.Sprintf("somebody else has moved zone %s: it has %d %% of its share, not %d %%", e.zone, e.has, e.from)
}

// set gives a zone a weight in percent; after expiry (0: never) it is 100 again.
// from is the weight that the caller believes the zone has; below 0: whatever.
func (m *moved) set(zone string, from, weight int, expiry time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errStopping
	}
	if has := m.weight(zone); from >= 0 && has != from {
		return movedError{zone, has, from}
	}
	next := m.shifts
	next.Zones = maps.Clone(m.shifts.Zones)
	s := zoneShift{Weight: weight}
	if expiry > 0 {
		s.Until = time.Now().Add(expiry)
	}
	if next.Zones[zone] = s; weight >= 100 {
		delete(next.Zones, zone)
		s.Until = time.Time{}
	}
	if err := m.file.save(next); err != nil {
		return err
	}
	m.shifts = next
	m.xds.SetZoneWeight(zone, weight)
	m.expireZone(zone, s.Until)
	return nil
}

func (m *moved) weight(zone string) int {
	if s, ok := m.shifts.Zones[zone]; ok {
		return s.Weight
	}
	return 100
}

// current are the zones below 100 percent.
func (m *moved) current() map[string]zoneShift {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.shifts.Zones)
}

// expireZone restores a zone at a time, and forgets the time that was set before.
func (m *moved) expireZone(zone string, at time.Time) {
	m.expire("zone/"+zone, at, func() {
		m.mu.Lock()
		due := m.shifts.Zones[zone].Until.Equal(at) // nobody moved it meanwhile
		m.mu.Unlock()
		if !due {
			return
		}
		m.log.Warn("zone shift expired", "zone", zone)
		if err := m.set(zone, -1, 100, 0); err != nil && !errors.Is(err, errStopping) {
			m.log.Error("zone that should be restored", "zone", zone, "error", err)
			m.again(zone, at)
		}
	})
}

// again tries to restore a zone a little later: the disk may be full.
func (m *moved) again(zone string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.shifts.Zones[zone]; ok && s.Until.Equal(at) && !m.closed {
		s.Until = time.Now().Add(10 * time.Second)
		m.shifts.Zones[zone] = s
		m.expireZone(zone, s.Until)
	}
}

// expire calls do at a time; zero: never. The lock is held, or nobody else is there
// yet.
func (m *moved) expire(key string, at time.Time, do func()) {
	if t := m.timers[key]; t != nil {
		t.Stop()
		delete(m.timers, key)
	}
	if !at.IsZero() {
		m.timers[key] = time.AfterFunc(time.Until(at), do)
	}
}

// stop ends everything that would happen later. Drained zones stay so on disk; pods
// are given back, for whoever tests them ends with the process.
func (m *moved) stop() {
	m.releaseAll()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, t := range m.timers {
		t.Stop()
	}
}
