package crew

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
)

// running is a run that has begun.
type running struct {
	coordinator *Coordinator
	members     []*member
	began       time.Time
	ended       chan struct{} // closed when every agent has reported or is lost

	mu       sync.Mutex
	stopping bool
	progress map[*member]attack.Progress
	parts    map[*member]loadtest.Part
	lost     []string
	singles  bool // results are wanted
	results  map[*member]*os.File
}

// stopGrace is how long agents may take to report once they were told to stop:
// requests in flight are canceled, so it is the report's way alone.
const stopGrace = 900 * time.Millisecond

// wait returns when all agents have reported or are lost.
func (r *running) wait(ctx context.Context, show func(attack.Progress)) ([]loadtest.Part, []string) {
	var listening sync.WaitGroup
	for _, m := range r.members {
		listening.Go(func() { r.listen(m) })
	}
	canceled := context.AfterFunc(ctx, r.stop)
	defer canceled()
	var showing sync.WaitGroup
	if show != nil {
		showing.Go(func() { r.show(show) })
	}
	listening.Wait()
	close(r.ended)
	showing.Wait()
	var parts []loadtest.Part
	for _, m := range r.members {
		if p, ok := r.parts[m]; ok {
			parts = append(parts, p)
		}
	}
	return parts, r.lost
}

// listen hears one agent out. It is dead when it falls silent; until the begin it has
// nothing to say.
func (r *running) listen(m *member) {
	for first := true; ; first = false {
		wait := r.coordinator.config.Dead
		if first {
			wait += time.Until(r.began)
		}
		got, err := m.receive(wait, maxMessage)
		switch {
		case err != nil:
			r.lose(m, err)
			return
		case got.Progress != nil:
			r.mu.Lock()
			r.progress[m] = *got.Progress
			r.mu.Unlock()
		case got.Done != nil:
			if r.finish(m, *got.Done) && r.singles {
				r.gather(m)
			}
			return
		}
	}
}

// finish tells whether the agent has measured.
func (r *running) finish(m *member, o outcome) bool {
	s, err := o.Stats.decode()
	if o.Error != "" {
		err = errors.New(o.Error)
	}
	if err != nil {
		r.lose(m, err)
		return false
	}
	s.Began = s.Began.Add(-m.offset)
	r.mu.Lock()
	r.parts[m] = loadtest.Part{
		Agent: report.Agent{Name: m.name, Clock: m.offset.Seconds(), Error: m.unsure.Seconds()}, Stats: s,
	}
	r.mu.Unlock()
	if s.Stopped == attack.StopCaller || s.Stopped == attack.StopBytes {
		r.stop() // whoever stopped one stopped all
	}
	return true
}

// gather takes an agent's single results. Without them the file would look whole.
func (r *running) gather(m *member) {
	f, err := m.receiveResults(r.coordinator.config.Dead)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.lost = append(r.lost, fmt.Sprintf("the single results of agent %s are not complete: %v", m.name, err))
		return
	}
	r.results[m] = f
}

// mergeResults is for when all agents have ended.
func (r *running) mergeResults(to io.Writer) error {
	var all []*results
	for i, m := range r.members {
		if f := r.results[m]; f != nil {
			all = append(all, &results{share: attack.Share{Index: i, Of: len(r.members)}, ahead: m.offset, decode: vegeta.NewDecoder(bufio.NewReaderSize(f, 1<<16))})
		}
	}
	return merge(to, all)
}

func (r *running) closeResults() {
	for _, f := range r.results {
		_ = f.Close() // it has no name, and was read
	}
}

// lose notes an agent that will not report, and stops the others: what they would go
// on to offer is not the plan.
func (r *running) lose(m *member, err error) {
	r.mu.Lock()
	r.lost = append(r.lost, fmt.Sprintf("agent %s was lost after %v: %v", m.name, max(0, time.Since(r.began)).Round(100*time.Millisecond), err))
	r.mu.Unlock()
	_ = m.conn.Close()
	r.stop()
}

// stop tells every agent, once; who does not report in time is hung up on.
func (r *running) stop() {
	r.mu.Lock()
	again := r.stopping
	r.stopping = true
	r.mu.Unlock()
	if again {
		return
	}
	var telling sync.WaitGroup
	for _, m := range r.members {
		telling.Go(func() { _ = m.send(message{Stop: true}) }) // who cannot be told is silent soon
	}
	go func() {
		select {
		case <-r.ended:
		case <-time.After(stopGrace):
			r.hangUp(func(m *member) bool { _, reported := r.parts[m]; return !reported })
		}
		select {
		case <-r.ended:
		case <-time.After(resultsGrace):
			r.hangUp(func(*member) bool { return true })
		}
	}()
	telling.Wait()
}

func (r *running) hangUp(on func(*member) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		if on(m) {
			_ = m.conn.Close()
		}
	}
}

// show sums up what the agents said last, once a second.
func (r *running) show(show func(attack.Progress)) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-r.ended:
			return
		case <-ticker.C:
		}
		if p := r.sum(); p.Elapsed > 0 {
			show(p)
		}
	}
}

// sum adds counts up; of latencies the worst agent's is shown, as the whole's is not
// known before the histograms are merged.
func (r *running) sum() (t attack.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.progress {
		t.Elapsed = max(t.Elapsed, p.Elapsed)
		t.Rate, t.Planned, t.Sent, t.InFlight = t.Rate+p.Rate, t.Planned+p.Planned, t.Sent+p.Sent, t.InFlight+p.InFlight
		t.Faults, t.Late, t.Dropped = t.Faults+p.Faults, t.Late+p.Late, t.Dropped+p.Dropped
		t.P50, t.P99, t.LagP99 = max(t.P50, p.P50), max(t.P99, p.P99), max(t.LagP99, p.LagP99)
		t.NowP50, t.NowP99, t.NowLagP99 = max(t.NowP50, p.NowP50), max(t.NowP99, p.NowP99), max(t.NowLagP99, p.NowLagP99)
	}
	return t
}
