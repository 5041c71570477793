package e2e

import (
	"crypto/rand"
	"net"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// TestNoiseOnClickHouse sends random bytes to the engine's native port under load.
// That ends this engine: it is back within about a second, and nothing is lost.
func TestNoiseOnClickHouse(t *testing.T) {
	// In about a second: the machine may be busy with other things.
	const back = 5 * time.Second
	platform := newPlatform(t, fleet.Rates{}, functions("feed", "rank")...)
	data := t.TempDir()
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog))
	l := call(t, p.addr.Gateway, platform.paths(), rate)
	for range 3 {
		pass(time.Second)
		old := p.child(engineProcess)
		began := time.Now()
		noise(t, p.addr.ClickHouse)
		until(t, "another engine answers", func() error { return p.storesAfter(old, began) })
		took := time.Since(began)
		t.Logf("a call that began after the noise is stored %v after it", took.Round(time.Millisecond))
		if took > back {
			t.Errorf("calls are stored again only after %v", took)
		}
	}
	c := l.stop()
	p.settle(&c, platform.paths())
	noFailure(t, c)
	p.stop()
	s := openStore(t, data)
	s.equals(c.sent)
	s.exact(c.answered)
}

// noise is what a port scanner or a client of something else sends.
func noise(t *testing.T, address string) {
	t.Helper()
	for range 4 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			continue // it has ended already
		}
		bytes := make([]byte, 4096)
		_, _ = rand.Read(bytes)
		_, _ = conn.Write(bytes)
		conn.Close()
	}
}
