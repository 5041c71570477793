package chaos

import (
	"os"
	"testing"
	"time"

	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(runChild(text)) // the main of a collector that is killed
	}
	embeddedtest.Main(m)
}

// patience bounds every wait for an event, on a machine that may be slow and busy.
const patience = testkit.Patience

// within polls cond and reports whether it came true in time.
func within(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); !cond(); {
		if time.Now().After(end) {
			return false
		}
		<-time.After(2 * time.Millisecond)
	}
	return true
}
