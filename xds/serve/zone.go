package serve

import (
	"time"

	"google.golang.org/protobuf/types/known/anypb"
)

// updateZone sets what gateways of a zone get instead of the common resource; a
// nil body takes that back. It returns the names that changed for the zone. A
// resource that is not there has nothing to be different from.
func (t *table) updateZone(zone string, put map[string]*anypb.Any, now time.Time) (changed []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.zones[zone]
	if own == nil {
		own = map[string]entry{}
		t.zones[zone] = own
	}
	for name, body := range put {
		common, there := t.entries[name]
		before, had := own[name]
		var e entry
		if body != nil {
			e = entry{body, version(body)}
		}
		switch {
		case body == nil || !there || e.version == common.version:
			if !had {
				continue
			}
			delete(own, name)
		case had && before.version == e.version:
			continue
		default:
			own[name] = e
		}
		changed = append(changed, name)
	}
	if len(own) == 0 {
		delete(t.zones, zone)
	}
	t.note(changed, now)
	return changed
}

// dropZone takes everything back that gateways of a zone get instead.
func (t *table) dropZone(zone string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var changed []string
	for name := range t.zones[zone] {
		changed = append(changed, name)
	}
	delete(t.zones, zone)
	t.note(changed, now)
}
