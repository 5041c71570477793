package usage

import (
	"context"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Recorder keeps what a pod used. Its methods may be called at the same time.
type Recorder struct {
	sources  []Source
	requests atomic.Int64

	mu       sync.Mutex
	readings []Reading
	counts   []count
	failed   int
	failure  error // the last
}

// NewRecorder reads from sources, which together say what is known: of each figure the
// first source that has it counts.
func NewRecorder(sources []Source) *Recorder { return &Recorder{sources: sources} }

const (
	interval = time.Second
	patience = 2 * time.Second // for an answer
	// A source that takes long to read takes time from the generator: it is read so
	// seldom that it takes a tenth of a core at most.
	rest = 10
)

// Run reads until ctx ends, and once more then.
func (r *Recorder) Run(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	defer client.CloseIdleConnections()
	for {
		began := time.Now()
		r.readAll(ctx, client)
		t := time.NewTimer(max(interval, rest*time.Since(began)) - time.Since(began))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			r.readAll(context.WithoutCancel(ctx), client)
			return
		}
	}
}

// readAll asks all sources. One that failed leaves its figures unknown.
func (r *Recorder) readAll(ctx context.Context, client *http.Client) {
	var whole Reading
	known := false
	for _, s := range r.sources {
		got, err := s.read(ctx, client)
		if err != nil {
			if ctx.Err() == nil {
				r.fail(err)
			}
			continue
		}
		if !known {
			whole, known = got, true
			continue
		}
		whole.complete(got)
	}
	if !known {
		return
	}
	now := count{time.Now(), float64(r.requests.Load())}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts = append(r.counts, now)
	whole.requests = r.requestsAt(whole.At)
	if n := len(r.readings); n > 0 && !whole.At.After(r.readings[n-1].At) {
		return // the same figures again
	}
	r.readings = append(r.readings, whole)
}

// count is how many requests had ended.
type count struct {
	at time.Time
	n  float64
}

// requestsAt is how many had ended at a time, which may be that of figures that are
// older than their reading.
func (r *Recorder) requestsAt(t time.Time) float64 {
	for i := len(r.counts) - 1; i > 0; i-- {
		if a, b := r.counts[i-1], r.counts[i]; !t.Before(a.at) {
			return a.n + min(1, t.Sub(a.at).Seconds()/b.at.Sub(a.at).Seconds())*(b.n-a.n)
		}
	}
	return r.counts[0].n
}

func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	r.failure = err
}

// complete fills in what is not known yet.
func (r *Reading) complete(o Reading) {
	if math.IsNaN(r.CPULimit) || o.limitFrom == "its quota" && !math.IsNaN(o.CPULimit) {
		r.CPULimit, r.limitFrom = o.CPULimit, o.limitFrom
	}
	for _, p := range []struct {
		mine *float64
		its  float64
	}{
		{&r.Started, o.Started},
		{&r.CPU, o.CPU},
		{&r.Memory, o.Memory},
		{&r.MemoryLimit, o.MemoryLimit},
		{&r.Throttled, o.Throttled},
		{&r.Periods, o.Periods},
		{&r.Steal, o.Steal},
		{&r.Machine, o.Machine},
	} {
		if math.IsNaN(*p.mine) {
			*p.mine = p.its
		}
	}
}

// Request counts a request that has ended.
func (r *Recorder) Request() { r.requests.Add(1) }

// Failure is the last error of reading, and how many there were.
func (r *Recorder) Failure() (n int, last error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed, r.failure
}

// Step is what the pod used in a stretch of time. 0: not known.
type Step struct {
	CPU       float64 `json:"cpu_cores,omitempty"`
	CPUPer    float64 `json:"cpu_ms_per_request,omitempty"`
	Memory    float64 `json:"memory_bytes,omitempty"` // at its end
	Throttled float64 `json:"throttled,omitempty"`    // share of the periods in which its quota was used up
}

// Between is what was used from begin to end, in which so many requests ended; false
// when there were no readings.
func (r *Recorder) Between(begin, end time.Time, requests int) (s Step, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.readings) == 0 {
		return s, false
	}
	if seconds, used := r.grown(begin, end, func(x Reading) float64 { return x.CPU }); seconds > 0 {
		s.CPU = used / seconds
		if rate := float64(requests) / end.Sub(begin).Seconds(); rate > 0 {
			s.CPUPer = 1000 * s.CPU / rate
		}
	}
	if seconds, periods := r.grown(begin, end, func(x Reading) float64 { return x.Periods }); seconds > 0 && periods > 0 {
		_, throttled := r.grown(begin, end, func(x Reading) float64 { return x.Throttled })
		s.Throttled = throttled / periods
	}
	for _, x := range r.readings {
		if !x.At.After(end.Add(interval/2)) && x.Memory > 0 {
			s.Memory = x.Memory
		}
	}
	return s, s != Step{}
}

// grown is by how much a counter grew, and in how many seconds: from begin to end, or
// between the first and last reading when these lie within; 0 seconds when not half
// of the time is known, or the counter began anew.
func (r *Recorder) grown(begin, end time.Time, of func(Reading) float64) (seconds, by float64) {
	var known []Reading
	for _, x := range r.readings {
		if v := of(x); !math.IsNaN(v) {
			known = append(known, x)
		}
	}
	if len(known) < 2 {
		return 0, 0
	}
	from, to := known[0].At, known[len(known)-1].At
	if begin.After(from) {
		from = begin
	}
	if end.Before(to) {
		to = end
	}
	seconds = to.Sub(from).Seconds()
	if seconds < end.Sub(begin).Seconds()/2 || seconds <= 0 {
		return 0, 0
	}
	for i := 1; i < len(known); i++ {
		if of(known[i]) < of(known[i-1]) && known[i].At.After(from) && known[i-1].At.Before(to) {
			return 0, 0
		}
	}
	return seconds, at(known, to, of) - at(known, from, of)
}

// at is a counter's value at a time between readings, by a straight line.
func at(known []Reading, t time.Time, of func(Reading) float64) float64 {
	for i := 1; i < len(known); i++ {
		if a, b := known[i-1], known[i]; !b.At.Before(t) {
			part := t.Sub(a.At).Seconds() / b.At.Sub(a.At).Seconds()
			return of(a) + part*(of(b)-of(a))
		}
	}
	return of(known[len(known)-1])
}
