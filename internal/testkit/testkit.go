// Package testkit is what the tests of all packages share: waiting for an event
// with a bound that only a machine in trouble meets, and a buffer that a test reads
// while the code under test writes. Only tests import it.
package testkit

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"
)

// Patience bounds every wait for an event, on a machine that may be slow and busy.
const Patience = time.Minute

// poll is the time between two looks at what somebody waits for.
const poll = 5 * time.Millisecond

// Must ends the test when err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Context ends after [Patience], or with the test.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually looks until ok, which is called by the test's own goroutine; after
// [Patience] it ends the test with what was waited for.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); <-time.After(poll) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

// Buffer keeps what is written to it. The zero value is empty; it may be written
// and read by any number of goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
