package collector

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/completeness"
	"github.com/kongdao/kongdao/internal/calllog/calllogtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// clients call a gateway at a rate until they are stopped.
type clients struct {
	answered atomic.Int64
	stop     func()
}

// call sends about rate requests a second to /denied, which the gateway answers
// itself. Each that was answered counts.
func call(t testing.TB, g *calllogtest.Gateway, rate int) *clients {
	c := &clients{}
	ctx, cancel := context.WithCancel(context.Background())
	const workers = 8
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			tick := time.NewTicker(time.Second * workers / time.Duration(rate))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				resp, err := client.Get("http://" + g.Addr + "/denied")
				if err != nil {
					continue
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err == nil {
					c.answered.Add(1)
				}
			}
		})
	}
	c.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		transport.CloseIdleConnections()
	})
	t.Cleanup(c.stop)
	return c
}

func (c *clients) reach(t testing.TB, n int64) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d calls answered", n), func() bool { return c.answered.Load() >= n })
}

// polled reads a gateway's counters by its admin port.
func polled(g *calllogtest.Gateway) completeness.Poll {
	poll := completeness.FromAdmin(g.Admin, calllogtest.StatPrefix)
	return func(ctx context.Context) (completeness.Sample, error) {
		s, err := poll(ctx)
		s.Gateway, s.Zone = "gw-1", "zb-a"
		return s, err
	}
}

// account is what the table says.
type account struct{ Counted, Received, Lost, Late, Stored, Unstored, Estimated int64 }

func accounted(t testing.TB, o clickhouse.Options) (a account) {
	t.Helper()
	c := open(t, o)
	testkit.Must(t, c.QueryRow(testkit.Context(t), `SELECT sum(counted), sum(received), sum(lost), sum(late), sum(stored), sum(unstored), sum(estimated) FROM completeness FINAL`).
		Scan(&a.Counted, &a.Received, &a.Lost, &a.Late, &a.Stored, &a.Unstored, &a.Estimated))
	return a
}

// Nothing is lost: every call that the gateway counted came out of its file.
func TestCompleteWithoutLoss(t *testing.T) {
	engine := migrated(t)
	g := calllogtest.Start(t, "")
	cfg := testConfig(t.TempDir(), g.LogPath)
	cfg.Counters, cfg.Horizon = polled(g), api.Duration(2*time.Second)
	c := start(t, cfg, engine.Options())
	testkit.Eventually(t, "the gateway is heard", func() bool { return c.complete.Account("gw-1").Readings > 0 })
	load := call(t, g, 500)
	load.reach(t, 1000)
	load.stop()
	sent := load.answered.Load()
	c.settle(int(sent))
	// The calls of the moment in which a gateway is asked are counted at once, and
	// expected until it is asked again.
	testkit.Eventually(t, "all are accounted for", func() bool {
		now := c.complete.Account("gw-1")
		return now.Counted >= sent && now.Late == 0
	})
	c.stop()
	a := accounted(t, engine.Options())
	t.Logf("%d calls; completeness says %+v", sent, a)
	if a.Lost != 0 || a.Late != 0 || a.Unstored != 0 || a.Counted != sent || a.Received != sent || a.Stored != sent {
		t.Errorf("%+v, want %d calls and none missing", a, sent)
	}
}

// The reader of a stream is away for a while, and Envoy counts what it sends into
// the void as written. The calls that are lost are counted to the last one, by
// collectors that know of each other only what is in the table.
func TestCompleteCountsWhatAStreamLost(t *testing.T) {
	engine := migrated(t)
	cfg := testConfig(t.TempDir(), "")
	cfg.Source, cfg.StatPrefix, cfg.Horizon = SourceALS, calllogtest.StatPrefix, api.Duration(3*time.Second)
	first := start(t, cfg, engine.Options())
	cfg.ALSListen = first.ALSAddr()
	g := calllogtest.Start(t, cfg.ALSListen)
	testkit.Eventually(t, "the gateway is heard", func() bool { return first.complete.Account("gw-1").Readings > 2 })
	load := call(t, g, 1000)
	load.reach(t, 1000)
	testkit.Must(t, first.Drain(testkit.Context(t)))
	first.stop()
	load.reach(t, load.answered.Load()+2000) // two seconds
	second := start(t, cfg, engine.Options())
	testkit.Eventually(t, "the stream is back", func() bool { return second.Stats().Read > 500 })
	load.stop()
	sent := load.answered.Load()
	var now completeness.Account
	testkit.Eventually(t, "all are accounted for", func() bool {
		now = second.complete.Account("gw-1")
		return now.Counted >= sent && now.Late == 0
	})
	testkit.Must(t, second.Drain(testkit.Context(t)))
	second.stop()
	n, _ := rows(t, engine.Options())
	a := accounted(t, engine.Options())
	t.Logf("%d calls answered, %d stored, %d lost; completeness says %+v, %+v", sent, n, sent-int64(n), now, a)
	if a.Counted != sent || a.Lost+a.Late != sent-int64(n) || now.Lost == 0 || now.Lost > a.Lost {
		t.Errorf("completeness says %+v, want %d counted and %d lost", a, sent, sent-int64(n))
	}
}

// Envoy is killed under load. What it had told nobody of is named twice: calls that
// it had counted, and an estimate of the rest.
func TestCompleteEstimatesWhatAKillTook(t *testing.T) {
	engine := migrated(t)
	g := calllogtest.Start(t, "")
	cfg := testConfig(t.TempDir(), g.LogPath)
	cfg.Horizon = api.Duration(3 * time.Second)
	var died atomic.Pointer[time.Time]
	next := make(chan *calllogtest.Gateway, 1)
	now := g
	cfg.Counters = func(ctx context.Context) (completeness.Sample, error) {
		select {
		case now = <-next:
		default:
		}
		s, err := polled(now)(ctx)
		s.Process = 1
		if now != g {
			s.Process, s.Ended = 2, *died.Load()
		}
		return s, err
	}
	c := start(t, cfg, engine.Options())
	testkit.Eventually(t, "the gateway is heard", func() bool { return c.complete.Account("gw-1").Readings > 0 })
	load := call(t, g, 2000)
	load.reach(t, 4000)
	at := g.Kill(t)
	died.Store(&at)
	load.stop()
	sent := load.answered.Load()
	next <- calllogtest.Start(t, "")
	var a completeness.Account
	testkit.Eventually(t, "all are accounted for", func() bool {
		a = c.complete.Account("gw-1")
		return a.Settled && a.Late == 0
	})
	testkit.Must(t, c.Drain(testkit.Context(t)))
	c.stop()
	n, _ := rows(t, engine.Options())
	b := accounted(t, engine.Options())
	t.Logf("%d calls answered, %d stored: %d lost; completeness says %+v, %+v", sent, n, sent-int64(n), a, b)
	if a.Counted-a.Lost != int64(n) || b.Counted-b.Lost != int64(n) || b.Stored != int64(n) || b.Unstored != 0 {
		t.Errorf("completeness says %+v, %+v; want %d stored", a, b, n)
	}
	// Truth and estimate are both below what the gateway may hold back in a second.
	if a.Lost < 0 || a.Lost > 2000 {
		t.Errorf("%d lost by a gateway that had 2000 calls a second", a.Lost)
	}
}
