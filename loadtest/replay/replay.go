// Package replay sends calls again that were recorded, at the times at which they
// arrived, as they were or some times faster.
//
// A record holds no bodies, and of the headers only some: what is sent again is the
// method, the host, the path with its query and what else the caller of this package
// puts in. Calls come in the order of time from a source that is read while the run
// goes on; they are never all in memory.
package replay

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Call is one that was recorded.
type Call struct {
	Time   time.Time
	Method string
	Host   string
	Path   string // with query
	Header http.Header
	Weight uint32 // how many calls it stands for; 0: itself
}

// Source gives calls, oldest first, until there are no more, give answers false, or
// the context ends.
type Source func(ctx context.Context, give func(Call) bool) error

// Config says how calls are sent again.
type Config struct {
	Target  *url.URL      // where to: scheme and host; the recorded host goes into the Host header
	From    time.Time     // what is sent at the begin; zero: the first call
	Speed   float64       // 1 is as it was
	Methods []string      // that are sent; empty: GET and HEAD, which change nothing
	Weights bool          // send each call as often as it stands for, spread over a second of the record
	Header  http.Header   // that every call gets besides its own; nil: nothing
	MaxRate float64       // calls within any second; more ends the run
	Longest time.Duration // of the run; calls after it are not sent; 0: no end
}

// Bounds of the speed.
const (
	MinSpeed = 0.1
	MaxSpeed = 20
)

// Validate reports every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Target == nil || c.Target.Host == "" || c.Target.Scheme != "http" && c.Target.Scheme != "https" {
		errs = append(errs, errors.New("target: is no http or https address"))
	}
	if !(c.Speed >= MinSpeed && c.Speed <= MaxSpeed) {
		errs = append(errs, fmt.Errorf("speed: is %v, want a number from %v to %v", c.Speed, MinSpeed, MaxSpeed))
	}
	if !(c.MaxRate > 0) {
		errs = append(errs, errors.New("maxRate: must be above 0"))
	}
	return errors.Join(errs...)
}

// Told is what the record held and what became of it.
type Told struct {
	Read     uint64            `json:"read"`               // calls of the record
	Sent     uint64            `json:"planned"`            // of them, and their copies, that were due
	Stood    uint64            `json:"stand_for"`          // calls that those read stand for: a sample's are more
	LeftOut  map[string]uint64 `json:"left_out,omitempty"` // by reason
	First    time.Time         `json:"first"`              // of the record
	Last     time.Time         `json:"last"`
	Backward uint64            `json:"out_of_order,omitempty"` // older than one before: sent at once
}

// Replay is a pacer and a targeter, which belong together. It is used once, by one
// run: New starts to read, Close ends it.
type Replay struct {
	config  Config
	calls   chan Call
	cancel  context.CancelFunc
	reading sync.WaitGroup
	ended   <-chan struct{}

	next    *Call // read, and not planned yet
	copies  copies
	current Call
	begin   time.Time
	window  window

	mu   sync.Mutex // guards told and err
	told Told
	err  error
}

// New begins to read the source.
func New(ctx context.Context, c Config, source Source) (*Replay, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if len(c.Methods) == 0 {
		c.Methods = []string{http.MethodGet, http.MethodHead}
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Replay{
		config: c, cancel: cancel, ended: ctx.Done(),
		calls: make(chan Call, 4096), // what is read ahead: a second of a large gateway
		told:  Told{LeftOut: map[string]uint64{}}, begin: c.From,
		window: window{most: c.MaxRate},
	}
	r.reading.Go(func() { r.read(ctx, source) })
	return r, nil
}

func (r *Replay) read(ctx context.Context, source Source) {
	defer close(r.calls)
	err := source(ctx, func(c Call) bool {
		if !r.wanted(c) {
			return ctx.Err() == nil
		}
		select {
		case r.calls <- c:
			return true
		case <-ctx.Done():
			return false
		}
	})
	if err != nil && ctx.Err() == nil {
		r.mu.Lock()
		r.err = fmt.Errorf("read calls: %w", err)
		r.mu.Unlock()
	}
}

func (r *Replay) wanted(c Call) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.told
	t.Read++
	t.Stood += uint64(max(1, c.Weight))
	if t.First.IsZero() || c.Time.Before(t.First) {
		t.First = c.Time
	}
	if c.Time.Before(t.Last) {
		t.Backward++
	} else {
		t.Last = c.Time
	}
	switch {
	case c.Method == "":
		t.LeftOut["no HTTP request"]++
	case !slices.Contains(r.config.Methods, c.Method):
		t.LeftOut["method "+c.Method]++
	case !strings.HasPrefix(c.Path, "/"):
		t.LeftOut["no path"]++
	default:
		return true
	}
	return false
}

// Told is what has become of the record so far.
func (r *Replay) Told() Told {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.told
	t.LeftOut = map[string]uint64{}
	for k, n := range r.told.LeftOut {
		t.LeftOut[k] = n
	}
	return t
}

// Stop makes the run end when it asks for the next call, also while it waits for one.
func (r *Replay) Stop() { r.cancel() }

// Close ends reading. The error is that of the source.
func (r *Replay) Close() error {
	r.cancel()
	r.reading.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Pace is the wait from elapsed to the planned time of the next call. It waits for
// the source when that is behind, which shows as lag.
func (r *Replay) Pace(elapsed time.Duration, _ uint64) (wait time.Duration, stop bool) {
	c, ok := r.take()
	if !ok {
		return 0, true
	}
	if r.begin.IsZero() {
		r.begin = c.Time
	}
	at := max(elapsed, time.Duration(float64(c.Time.Sub(r.begin))/r.config.Speed))
	if r.config.Longest > 0 && at > r.config.Longest {
		return 0, true
	}
	r.current = c
	r.window.add(at)
	r.mu.Lock()
	r.told.Sent++
	r.mu.Unlock()
	return at - elapsed, false
}

// Rate is not known before.
func (r *Replay) Rate(time.Duration) float64 { return 0 }

// Target is the call that Pace planned last.
func (r *Replay) Target(t *vegeta.Target) error {
	if r.window.above {
		return fmt.Errorf("more than %g calls within a second of the replay, at %s of the record: lower the speed, or raise the cap", r.config.MaxRate, r.current.Time.Format(time.RFC3339))
	}
	*t = vegeta.Target{
		Method: r.current.Method, URL: r.config.Target.Scheme + "://" + r.config.Target.Host + r.current.Path,
		Header: http.Header{},
	}
	for k, v := range r.current.Header {
		t.Header[k] = v
	}
	for k, v := range r.config.Header {
		t.Header[k] = v
	}
	if r.current.Host != "" {
		t.Header.Set("Host", r.current.Host)
	}
	return nil
}

// take is the earliest call that is due: the next of the source, or a copy.
func (r *Replay) take() (Call, bool) {
	if r.next == nil {
		select {
		case c, ok := <-r.calls:
			if ok {
				r.next = &c
			}
		case <-r.ended:
			return Call{}, false
		}
	}
	if len(r.copies) > 0 && (r.next == nil || r.copies[0].Time.Before(r.next.Time)) {
		return heap.Pop(&r.copies).(Call), true
	}
	if r.next == nil {
		return Call{}, false
	}
	c := *r.next
	r.next = nil
	r.copy(c)
	return c, true
}

// mostCopies bounds what one record may become.
const mostCopies = 10_000

// copy plans the calls that c stands for besides itself: evenly over the second
// after it.
func (r *Replay) copy(c Call) {
	if !r.config.Weights {
		return
	}
	n := min(int(c.Weight), mostCopies)
	for i := 1; i < n; i++ {
		again := c
		again.Time = c.Time.Add(time.Duration(i) * time.Second / time.Duration(n))
		heap.Push(&r.copies, again)
	}
}

// copies are a heap by time.
type copies []Call

func (c copies) Len() int           { return len(c) }
func (c copies) Less(i, j int) bool { return c[i].Time.Before(c[j].Time) }
func (c copies) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *copies) Push(x any)        { *c = append(*c, x.(Call)) }
func (c *copies) Pop() any {
	all := *c
	last := all[len(all)-1]
	*c = all[:len(all)-1]
	return last
}

// window counts what is planned within a second.
type window struct {
	most  float64
	from  time.Duration
	n     float64
	above bool
}

func (w *window) add(at time.Duration) {
	if at >= w.from+time.Second {
		w.from, w.n = at, 0
	}
	w.n++
	w.above = w.above || w.n > w.most
}
