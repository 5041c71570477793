package embedded

import (
	"testing"
	"time"
)

func TestRestartDelay(t *testing.T) {
	for short, want := range map[int]time.Duration{
		0: 0, 1: 0, 2: 100 * time.Millisecond, 3: 200 * time.Millisecond, 7: 3200 * time.Millisecond,
		8: 5 * time.Second, 1 << 40: 5 * time.Second,
	} {
		if got := restartDelay(short); got != want {
			t.Errorf("after %d short lives in a row: %v, want %v", short, got, want)
		}
	}
}
