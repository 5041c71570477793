package chaos

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/testkit"
)

// TestOutage takes ClickHouse away until the write-ahead log has used up its
// budget: nothing more is read, from the file and from the stream, until it is
// back. Nobody is killed, so that every streamed call has to be stored, too.
func TestOutage(t *testing.T) {
	r := newRig(t, func(l *life) { l.WALBytes = 1 << 20 })
	r.log.long, r.stream.long = true, true
	r.proxy.set(fault{refuse: true})
	random := rand.New(rand.NewPCG(r.seed, 3))
	full := func() bool { return r.process.stats(t).Stats.Waiting == "budget" }
	for n := 0; !full(); n++ {
		if n == 200 {
			t.Fatalf("the log does not fill up: %+v", r.process.stats(t).Stats)
		}
		testkit.Must(t, r.log.write(100, random))
	}

	stop := make(chan struct{})
	var streaming sync.WaitGroup
	streaming.Go(func() {
		for {
			if err := r.stream.send(50); err != nil {
				t.Errorf("stream: %v", err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	testkit.Eventually(t, "flow control holds the stream", r.stream.held)
	testkit.Must(t, r.log.write(500, random)) // waits in the file
	a := r.process.stats(t)
	s, m := a.Stats, a.Metrics
	if s.WALBytes > s.WALBudget || s.Stored != 0 || !s.Failing || s.Read >= r.log.n.Load()+r.stream.n.Load() {
		t.Errorf("%d lines, %d streamed calls, %+v", r.log.n.Load(), r.stream.n.Load(), s)
	}
	if m["kongdao_collector_wal_waiting"] != 1 || m["kongdao_collector_wal_rows"] != float64(s.Unstored) ||
		m["kongdao_collector_oldest_unstored_seconds"] <= 0 || m["kongdao_collector_wal_bytes"] > m["kongdao_collector_wal_budget_bytes"] {
		t.Errorf("metrics do not say so: %v", m)
	}
	close(stop)
	r.proxy.set(fault{})
	streaming.Wait()
	r.check("after the outage")
	r.wantAllStreamed()
	if s := r.process.stats(t).Stats; s.Waiting != "" || s.Unstored != 0 {
		t.Errorf("%+v", s)
	}
}

// wantAllStreamed wants every streamed call in the table, not only those of blocks
// that were seen on disk.
func (r *rig) wantAllStreamed() {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	var stored uint64
	testkit.Must(r.t, c.QueryRow(testkit.Context(r.t), "SELECT uniqExact(request_id) FROM calls WHERE gateway = ?", streamGateway).Scan(&stored))
	if stored != uint64(r.stream.n.Load()) {
		r.t.Errorf("%d of %d streamed calls are stored", stored, r.stream.n.Load())
	}
}

// TestKilledWhileFull kills the collector when its log is full and ClickHouse is
// away.
func TestKilledWhileFull(t *testing.T) {
	r := newRig(t, func(l *life) { l.WALBytes = 1 << 20 })
	r.log.long, r.stream.long = true, true
	r.proxy.set(fault{refuse: true})
	random := rand.New(rand.NewPCG(r.seed, 4))
	for range 2 {
		for n := 0; r.process.stats(t).Stats.Waiting == ""; n++ {
			if n < 150 {
				testkit.Must(t, r.log.write(100, random))
			}
			_ = r.stream.send(10) // lost, unless it is found on disk
		}
		r.killCollector()
		r.ledger.look("the log was full")
		r.startCollector()
	}
	r.proxy.set(fault{})
	r.check("after two kills with a full log")
}

// held reports that a message has been on its way for a second.
func (s *streamer) held() bool {
	n := s.n.Load()
	<-time.After(time.Second) // how long is what is asked
	return s.sending.Load() && s.n.Load() == n
}
