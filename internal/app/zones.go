package app

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/kongdao/kongdao/xds"
)

// zoneWeights are the zones whose traffic has been turned down by hand. Each shift
// can expire, so that a forgotten drain ends by itself.
type zoneWeights struct {
	xds *xds.Server
	log *slog.Logger

	mu      sync.Mutex
	weights map[string]int // zones below 100 alone
	timers  map[string]*time.Timer
}

func newZoneWeights(server *xds.Server, log *slog.Logger) *zoneWeights {
	return &zoneWeights{xds: server, log: log, weights: map[string]int{}, timers: map[string]*time.Timer{}}
}

// set gives a zone a weight in percent; after expiry (0: never) it is 100 again.
func (z *zoneWeights) set(zone string, weight int, expiry time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if t := z.timers[zone]; t != nil {
		t.Stop()
		delete(z.timers, zone)
	}
	if z.weights[zone] = weight; weight >= 100 {
		delete(z.weights, zone)
	}
	z.xds.SetZoneWeight(zone, weight)
	if expiry > 0 && weight < 100 {
		z.timers[zone] = time.AfterFunc(expiry, func() {
			z.log.Warn("zone shift expired", "zone", zone)
			z.set(zone, 100, 0)
		})
	}
}

// current are the zones below 100 percent.
func (z *zoneWeights) current() map[string]int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return maps.Clone(z.weights)
}

// stop ends the expiry timers.
func (z *zoneWeights) stop() {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, t := range z.timers {
		t.Stop()
	}
}
