package release

import (
	"context"
	"fmt"
	"testing"
)

// A gate holds a release at the step that it stands on, before the first one too;
// a revision that is worse is rolled back all the same.
func TestGateHoldsARelease(t *testing.T) {
	w := newWorld(t)
	most := 0
	w.sources.Gate = func(_ context.Context, function, revision string, percent int) string {
		if function != "feed" || revision != "r2" || percent <= most {
			return ""
		}
		return fmt.Sprintf("no pods for %d%%", percent)
	}
	w.second(nil, nil)
	weights(t, w.ledger, "r1 100%")
	if s, _ := w.State("feed"); s.Waiting != "the gate of r2 to let it have 5%:\nno pods for 5%" {
		t.Errorf("it waits for %q", s.Waiting)
	}
	most = 5
	for range 130 {
		w.second(nil, nil)
	}
	weights(t, w.ledger, "r1 95%, r2 5%")
	if s, _ := w.State("feed"); s.Waiting != "the gate of r2 to let it have 50%:\nno pods for 50%" {
		t.Errorf("it waits for %q", s.Waiting)
	}
	most = 100
	w.second(nil, nil)
	weights(t, w.ledger, "r1 50%, r2 50%")
	most = 0
	for range 60 {
		w.second(map[string]float64{"r2": 0.5}, nil)
	}
	weights(t, w.ledger, "r1 100%")
}
