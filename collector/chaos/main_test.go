package chaos

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(runChild(text)) // the main of a collector that is killed
	}
	embeddedtest.Main(m)
}

// patience bounds every wait for an event, on a machine that may be slow and busy.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ctxFor(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

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

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !within(patience, cond) {
		t.Fatalf("not within %s: %s", patience, what)
	}
}
