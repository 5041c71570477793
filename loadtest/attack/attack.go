package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	targeter vegeta.Targeter
	hooks    Hooks
	client   *http.Client
	turn     chan *schedule // holds the schedule while no worker has it
	shards   []*shard
	began    time.Time
	dropped  atomic.Uint64
	inFlight atomic.Int64
	lastSent atomic.Int64 // nanoseconds since began

	mu      sync.Mutex // serialises Observe and Result, guards stopped and err
	stopped bool
	err     error
}

// New prepares a run; nothing is sent yet.
func New(c Config, pacer vegeta.Pacer, targeter vegeta.Targeter, hooks Hooks) (*Attack, error) {
	err := c.Validate()
	if pacer == nil {
		err = errors.Join(err, errors.New("pacer: missing"))
	}
	if targeter == nil {
		err = errors.Join(err, errors.New("targeter: missing"))
	}
	if err != nil {
		return nil, err
	}
	a := &Attack{
		config: c, targeter: targeter, hooks: hooks,
		client: newClient(c.Workers),
		turn:   make(chan *schedule, 1),
	}
	for range min(c.Workers, shards) {
		a.shards = append(a.shards, newShard())
	}
	a.turn <- &schedule{pacer: pacer, end: c.Duration}
	return a, nil
}

// newClient shares nothing with the rest of the process, keeps a connection for
// each worker and hands redirects back as answers: following one would send a
// request that nobody planned, perhaps to a host that nobody allowed.
func newClient(workers int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConns:        workers,
			MaxIdleConnsPerHost: workers,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Run sends the plan and waits for every answer. When ctx ends it cancels what is
// in flight and returns at once; what was measured so far is valid. The error is
// that of the pacer, the targeter or a hook; failed requests are no error.
func (a *Attack) Run(ctx context.Context) (Stats, error) {
	defer a.client.CloseIdleConnections()
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
	if a.hooks.Progress != nil {
		watcher.Go(func() { a.watch(ended) })
	}
	workers.Wait()
	close(ended)
	watcher.Wait()

	t := a.sum()
	t.CPU = cpuShare(cpu, time.Since(a.began))
	s := <-a.turn
	t.Planned = s.hits
	t.Sending = time.Duration(a.lastSent.Load())
	switch {
	case ctx.Err() != nil:
		t.Stopped = StopCaller
	case a.stopped:
		t.Stopped = StopObserver
	}
	return t, errors.Join(s.err, a.err)
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
	target   vegeta.Target
}

// due is a request whose time has come.
type due struct {
	seq     uint64
	planned time.Duration
	lag     time.Duration
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
	if err := w.targeter(&w.target); err != nil {
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
		w.observe(Observation{Planned: planned, Latency: behind, Fault: KindDropped})
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

func (w *worker) send(d due) {
	sent := time.Since(w.began)
	w.lastSent.Store(int64(sent))
	w.inFlight.Add(1)
	r := w.do()
	latency := time.Since(w.began) - d.planned
	w.inFlight.Add(-1)

	w.shard.add(w.config, d, sent, latency, r)
	w.observe(Observation{Planned: d.planned, Latency: latency, Status: r.status, Bytes: r.in, Fault: r.kind})
	w.result(d, latency, r)
}

func (s *shard) add(c Config, d due, sent, latency time.Duration, r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	s.in += r.in
	s.out += r.out
	record(s.lag, d.lag)
	if sent-d.planned > c.LateAfter {
		s.late++
	}
	if d.lag > c.LateAfter {
		s.lagging++
	}
	if r.kind != "" {
		s.faults[r.kind]++
	}
	if r.kind == KindCanceled {
		s.canceled++
		return
	}
	if r.status != 0 {
		s.status[r.status]++
	}
	record(s.latency, latency)
}

// reply is how a request ended.
type reply struct {
	status  int
	in, out uint64 // body bytes
	kind    string // empty: a whole answer
	text    string // of the error
}

func (w *worker) do() reply {
	ctx, cancel := context.WithTimeout(w.requests, w.config.Timeout)
	defer cancel()
	request, err := w.target.Request()
	if err != nil {
		return reply{kind: KindOther, text: err.Error()}
	}
	request.Header.Set(Header, w.config.Run)
	r := reply{out: uint64(len(w.target.Body))}
	answer, err := w.client.Do(request.WithContext(ctx))
	if err == nil {
		var n int64
		n, err = io.Copy(io.Discard, answer.Body)
		r.in, r.status = uint64(n), answer.StatusCode
		_ = answer.Body.Close() // read to its end, or broken already
	}
	if err != nil {
		r.kind, r.text = kindOf(err), err.Error()
	}
	if err != nil && w.requests.Err() != nil {
		r.kind = KindCanceled
	}
	if r.kind != "" {
		r.status = 0 // half an answer is none
	}
	return r
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

func (w *worker) result(d due, latency time.Duration, r reply) {
	if w.hooks.Result == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	err := w.hooks.Result(&vegeta.Result{
		Attack: w.config.Run, Seq: d.seq, Code: uint16(r.status),
		Timestamp: w.began.Add(d.planned).Round(0), Latency: latency,
		BytesIn: r.in, BytesOut: r.out, Error: r.text,
		Method: w.target.Method, URL: w.target.URL,
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
