package app

import (
	"testing"
	"time"
)

// WriteShift leaves a zone with less than its share behind, as a process does that is
// killed.
func WriteShift(t testing.TB, path, zone string, weight int) {
	t.Helper()
	s := shifts{Zones: map[string]zoneShift{zone: {Weight: weight, Until: time.Now().Add(time.Hour)}}, Pins: map[string]pinLease{}}
	if err := (shiftsFile{path}).save(s); err != nil {
		t.Fatal(err)
	}
}
