package collector

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/calllog/calllogtest"
	"github.com/kongdao/kongdao/internal/testkit"
)

// What happens to whom while calls are made.
const (
	collectorDead = "collector dead for 2 s"
	envoyStopped  = "envoy stopped"
	envoyKilled   = "envoy killed"

	lossRate   = 2000                  // calls a second
	envoyFlush = 50 * time.Millisecond // as gateways do
)

// lost makes calls over one way to log, lets something happen, and counts the calls
// that were answered and are not stored.
func lost(t testing.TB, engine *embedded.Engine, what string, o calllogtest.Options, calling, dead time.Duration) (answered, missing int) {
	t.Helper()
	testkit.Must(t, open(t, engine.Options()).Exec(testkit.Context(t), "TRUNCATE TABLE calls"))
	dir := t.TempDir()
	o.LogPath = filepath.Join(dir, "access.log")
	cfg := testConfig(dir, o.LogPath)
	if o.NoFile {
		cfg.Source = SourceALS
	}
	collect := func() *running {
		c := start(t, cfg, engine.Options())
		cfg.ALSListen = c.ALSAddr() // the next one's too
		if !o.NoFile {
			cfg.ALSListen = "127.0.0.1:0"
		}
		return c
	}
	c := collect()
	o.ALS = ""
	if o.NoFile {
		o.ALS = c.ALSAddr()
	}
	g := calllogtest.StartWith(t, o)
	calls := steady(g.Addr, 16, lossRate)
	calls.await(t, int64(calling.Seconds()*lossRate/2))
	switch what {
	case collectorDead:
		c.stop()
		pause(dead)
		c = collect()
		calls.await(t, int64(calling.Seconds()*lossRate/2))
		answered = calls.finish()
	case envoyStopped:
		g.End(t, syscall.SIGTERM)
		answered = calls.finish()
	case envoyKilled:
		g.End(t, syscall.SIGKILL)
		answered = calls.finish()
	}
	stored := still(t, c, engine, answered)
	return answered, answered - stored
}

func pause(d time.Duration) { <-time.After(d) }

// still waits until as many calls are stored as were answered, or until no more come
// for two seconds.
func still(t testing.TB, c *running, engine *embedded.Engine, answered int) int {
	t.Helper()
	read, since := int64(-1), time.Now()
	for time.Since(since) < 2*time.Second && c.Stats().Read < int64(answered) {
		if n := c.Stats().Read; n != read {
			read, since = n, time.Now()
		}
		pause(20 * time.Millisecond)
	}
	testkit.Must(t, c.Drain(testkit.Context(t)))
	c.stop()
	n, _ := distinct(t, engine.Options())
	return int(n)
}

// A file survives a dead collector, and Envoy writes what it has when it is stopped.
func TestFileLogLosesNothing(t *testing.T) {
	engine := migrated(t)
	for _, what := range []string{collectorDead, envoyStopped} {
		answered, missing := lost(t, engine, what, calllogtest.Options{Flush: envoyFlush}, 500*time.Millisecond, 500*time.Millisecond)
		// A call whose answer was on its way when Envoy was told to stop may be stored and not be answered.
		if missing > 0 || missing < -16 {
			t.Errorf("%s: %d calls answered, %d of them are not stored", what, answered, missing)
		}
	}
}

// BenchmarkCallsLost is what the two transports lose of 2,000 calls a second, on a
// real Envoy: the file, written every so often, and the stream with Envoy's own
// buffer. Collector and ClickHouse take part of the machine.
func BenchmarkCallsLost(b *testing.B) {
	engine := migrated(b)
	stream := calllogtest.Options{NoFile: true, ALSDefaults: true}
	for _, bench := range []struct {
		what   string
		log    string
		o      calllogtest.Options
		rounds int
	}{
		{collectorDead, "file", calllogtest.Options{Flush: envoyFlush}, 1},
		{collectorDead, "als", stream, 1},
		{envoyStopped, "file", calllogtest.Options{Flush: envoyFlush}, 2},
		{envoyStopped, "als", stream, 2},
		{envoyKilled, "file-25ms", calllogtest.Options{Flush: 25 * time.Millisecond}, 5},
		{envoyKilled, "file-50ms", calllogtest.Options{Flush: 50 * time.Millisecond}, 5},
		{envoyKilled, "file-100ms", calllogtest.Options{Flush: 100 * time.Millisecond}, 5},
		{envoyKilled, "als", stream, 5},
	} {
		b.Run(strings.ReplaceAll(bench.what, " ", "-")+"/"+bench.log, func(b *testing.B) {
			var all, most, calls int
			for range b.N {
				for range bench.rounds {
					answered, missing := lost(b, engine, bench.what, bench.o, 2*time.Second, 2*time.Second)
					all, most, calls = all+missing, max(most, missing), calls+answered
				}
			}
			n := float64(b.N * bench.rounds)
			b.ReportMetric(float64(all)/n, "lost/round")
			b.ReportMetric(float64(most), "most-lost")
			b.ReportMetric(float64(calls)/n, "calls/round")
			b.ReportMetric(0, "ns/op")
		})
	}
}
