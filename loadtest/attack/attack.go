package attack

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Hooks are called during a run, one call at a time for each hook. They must be
// quick: a worker waits for Observe and Result.
type Hooks struct {
	// Observe gets every request that was due, when it ended or was dropped, and
	// ends the run by answering true. nil: none.
	Observe func(Observation) (stop bool)
	// Result gets every request that was sent, ready for vegeta's encoders. nil: none.
	Result func(*vegeta.Result) error
	// Progress is called once a second. nil: none.
	Progress func(Progress)
}

// Attack is one run. It is used once.
type Attack struct {
	config   Config
	sender   Sender
	hooks    Hooks
	turn     chan *schedule // holds the schedule while no worker has it
	shards   []*shard
	series   []*series
	timeline *timeline
	began    time.Time
	dropped  atomic.Uint64
	inFlight atomic.Int64
	lastSent atomic.Int64 // nanoseconds since began

	mu      sync.Mutex // serialises Observe and Result, guards stopped and err
	stopped bool
	err     error
}

// New prepares a run of requests that do not change; nothing is sent yet.
func New(c Config, pacer vegeta.Pacer, targeter vegeta.Targeter, hooks Hooks) (*Attack, error) {
	if targeter == nil {
		return nil, errors.Join(c.Validate(), checkPacer(pacer), errors.New("targeter: missing"))
	}
	return NewFor(c, pacer, Static(c, targeter), hooks)
}

// NewFor prepares a run of what the sender sends. Run closes the sender.
func NewFor(c Config, pacer vegeta.Pacer, sender Sender, hooks Hooks) (*Attack, error) {
	err := errors.Join(c.Validate(), checkPacer(pacer))
	if sender == nil {
		err = errors.Join(err, errors.New("sender: missing"))
	}
	if err != nil {
		return nil, err
	}
	a := &Attack{
		config: c, sender: sender, hooks: hooks, turn: make(chan *schedule, 1), series: newSeries(c.Series),
		timeline: newTimeline(c.Duration, c.MaxBehind),
	}
	for range min(c.Workers, shards) {
		a.shards = append(a.shards, newShard())
	}
	a.turn <- newSchedule(pacer, c.Duration)
	return a, nil
}

func checkPacer(p vegeta.Pacer) error {
	if p == nil {
		return errors.New("pacer: missing")
	}
	return nil
}

// Run sends the plan and waits for every answer. When ctx ends it cancels what is
// in flight and returns at once; what was measured so far is valid. The error is
// that of the pacer, the sender or a hook; failed requests are no error.
func (a *Attack) Run(ctx context.Context) (Stats, error) {
	requests, cancel := context.WithCancel(ctx)
	defer cancel()
	sending, stopSending := context.WithCancel(requests)
	defer stopSending()
	stop := func() {
		stopSending()
		time.AfterFunc(a.config.Grace, cancel)
	}

	cpu := cpuTime()
	a.began = time.Now()
	var workers sync.WaitGroup
	for i := range a.config.Workers {
		w := &worker{Attack: a, shard: a.shards[i%len(a.shards)], sending: sending, requests: requests, stop: stop}
		workers.Go(w.run)
	}
	var watcher sync.WaitGroup
	ended := make(chan struct{})
	watcher.Go(func() {
		select {
		case <-a.config.Meter.Over():
			cancel() // requests in flight would bring more
		case <-ended:
		}
	})
	watcher.Go(func() { a.timeline.watch(a.began, ended) })
	if a.hooks.Progress != nil {
		watcher.Go(func() { a.watch(ended) })
	}
	workers.Wait()
	close(ended)
	watcher.Wait()

	t := a.sum()
	t.Series = a.sumSeries()
	t.Intervals = a.timeline.intervals()
	t.CPU = cpuShare(cpu, time.Since(a.began))
	s := <-a.turn
	t.Planned = s.hits
	t.Sending = time.Duration(a.lastSent.Load())
	t.Wire, t.MostWire = a.config.Meter.Bytes(), a.config.Meter.Most()
	switch {
	case ctx.Err() != nil:
		t.Stopped = StopCaller
	case a.stopped:
		t.Stopped = StopObserver
	case a.config.Meter.isOver():
		t.Stopped = StopBytes
	}
	return t, errors.Join(s.err, a.err, a.sender.Close())
}

func (a *Attack) watch(ended <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var sent uint64
	last := a.began
	for {
		select {
		case <-ended:
			return
		case now := <-ticker.C:
			p := a.progress(sent, now.Sub(last))
			sent, last = p.Sent, now
			a.hooks.Progress(p)
		}
	}
}

// worker sends one request after another.
//
// Idle workers wait for their turn. The one whose turn it is holds the schedule,
// sleeps until the next planned time, passes the turn on and sends. So one worker
// sleeps at a time, planned times are taken in order, and while all workers are
// busy the plan simply waits: there is no queue that could grow.
type worker struct {
	*Attack
	shard    *shard
	sending  context.Context // ends when no more requests may be sent
	requests context.Context // ends when those in flight are canceled
	stop     func()
	it       Iteration
}

// due is a request whose time has come.
type due struct {
	seq     uint64
	planned time.Duration
	lag     time.Duration
	follows bool // from an answer, not from the plan
}

func (w *worker) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d, ok := w.take(timer)
		if !ok {
			return
		}
		w.send(d)
	}
}

// take waits for the turn and then for the next planned time.
func (w *worker) take(timer *time.Timer) (due, bool) {
	free := time.Since(w.began)
	var s *schedule
	select {
	case s = <-w.turn:
	case <-w.sending.Done():
		return due{}, false
	}
	defer func() { w.turn <- s }()
	planned, ok := w.skip(s)
	if !ok || !w.sleep(timer, planned) {
		return due{}, false
	}
	w.it.Seq, w.it.Stream, w.it.Planned = s.hits-1, s.stream, planned
	if err := w.sender.Take(&w.it); err != nil {
		if !errors.Is(err, vegeta.ErrNoTargets) { // the end of a finite list is no fault
			w.fail(fmt.Errorf("next target: %w", err))
		}
		s.hits--
		s.ended = true
		return due{}, false
	}
	now := time.Since(w.began)
	return due{seq: s.hits - 1, planned: planned, lag: now - max(planned, free)}, true
}

// skip drops what is too far behind and returns the next planned time.
func (w *worker) skip(s *schedule) (time.Duration, bool) {
	for {
		planned, ok := s.next()
		if !ok {
			return 0, false
		}
		behind := time.Since(w.began) - planned
		if behind <= w.config.MaxBehind {
			return planned, true
		}
		w.dropped.Add(1)
		w.timeline.drop(planned)
		w.observe(Observation{Planned: planned, Latency: behind, Fault: KindDropped, Series: -1})
		if w.sending.Err() != nil {
			return 0, false
		}
	}
}

// sleep answers false when the run was stopped meanwhile.
func (w *worker) sleep(timer *time.Timer, planned time.Duration) bool {
	if wait := planned - time.Since(w.began) - napFrom; wait > 0 {
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-w.sending.Done():
			return false
		}
	}
	for napFrom > 0 {
		wait := planned - time.Since(w.began)
		if wait <= 0 {
			break
		}
		nap(wait)
	}
	return w.sending.Err() == nil
}

// send sends the requests of an iteration. The first was due when the plan says,
// each other one when the answer before it had come.
func (w *worker) send(d due) {
	for more := true; more; {
		sent := time.Since(w.began)
		if !d.follows {
			w.lastSent.Store(int64(sent))
		}
		w.inFlight.Add(1)
		var r Reply
		r, more = w.sender.Send(w.requests, &w.it)
		latency := time.Since(w.began) - d.planned - r.Held
		w.inFlight.Add(-1)
		if w.requests.Err() != nil {
			more = false
			if r.Fault != "" {
				r.Fault, r.Status = KindCanceled, 0
			}
		}

		w.shard.add(w.config, d, sent, latency, r)
		w.timeline.add(w.config, d, sent, latency, r)
		w.addSeries(latency, r)
		w.observe(Observation{Planned: d.planned, Latency: latency, Status: r.Status, Bytes: r.In, Fault: r.Fault, Series: r.Series})
		w.result(d, latency, r)
		d.planned, d.follows, d.lag = d.planned+latency+r.Held, true, 0
	}
}

func (s *shard) add(c Config, d due, sent, latency time.Duration, r Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	s.in += r.In
	s.out += r.Out
	if d.follows {
		s.followed++
	} else {
		record(s.lag, d.lag)
	}
	if !d.follows && sent-d.planned > c.LateAfter {
		s.late++
	}
	if d.lag > c.LateAfter {
		s.lagging++
	}
	if r.Fault != "" {
		s.faults[r.Fault]++
	}
	if r.Fault == KindCanceled {
		s.canceled++
		return
	}
	if r.Status != 0 {
		s.status[r.Status]++
	}
	record(s.latency, latency)
}

func (w *worker) observe(o Observation) {
	if w.hooks.Observe == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || o.Fault == KindCanceled {
		return
	}
	if w.hooks.Observe(o) {
		w.stopped = true
		w.stop()
	}
}

func (w *worker) result(d due, latency time.Duration, r Reply) {
	if w.hooks.Result == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	err := w.hooks.Result(&vegeta.Result{
		Attack: w.config.Run, Seq: d.seq, Code: uint16(r.Status),
		Timestamp: w.began.Add(d.planned).Round(0), Latency: latency,
		BytesIn: r.In, BytesOut: r.Out, Error: r.Text,
		Method: r.Method, URL: r.URL,
	})
	if err != nil {
		w.err = fmt.Errorf("write result: %w", err)
		w.stop()
	}
}

func (w *worker) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
	w.stop()
}
