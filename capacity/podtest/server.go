package podtest

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Server is a pod of a law as a real HTTP server: goroutines take requests from one
// line and sleep for their service times. It shares no code with the simulation, which
// it is there to check. A worker that wakes late plans its next request from when it
// should have woken, so that the timers of a busy machine make requests late, but the
// pod no slower.
//
// GET /healthz is answered at once, GET /figures with [Figures].
type Server struct {
	law   Law
	began time.Time
	line  chan *request
	done  sync.WaitGroup

	mu      sync.Mutex
	r       *rand.Rand
	pauses  []span // ends rise
	due     time.Time
	noise   []span
	figures Figures
}

// Figures are what a Server knows of its requests that left their worker, in that
// order.
type Figures struct {
	Came []time.Duration // since the server began
	Law  []time.Duration // from the request's arrival to when its worker was to end, by the law
	Late []time.Duration // how much later the worker woke
}

// mostWaiting bounds the line; more wait in front of it.
const mostWaiting = 1 << 16

type request struct {
	came time.Time
	end  chan struct{}
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// NewServer is a pod whose workers are idle. Close ends them.
func NewServer(law Law, seed uint64) *Server {
	now := time.Now()
	s := &Server{law: law, began: now, due: now, line: make(chan *request, mostWaiting), r: rand.New(rand.NewPCG(seed, 3))}
	for range law.Workers {
		s.done.Go(s.work)
	}
	return s
}

// Close waits for the workers' last requests. No request may come any more.
func (s *Server) Close() {
	close(s.line)
	s.done.Wait()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		return
	case "/figures":
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.figures)
		return
	}
	x := &request{time.Now(), make(chan struct{})}
	s.line <- x
	<-x.end
}

// work is one worker.
func (s *Server) work() {
	free := s.began
	for x := range s.line {
		begin := x.came
		if free.After(begin) {
			begin = free
		}
		free = s.ends(begin)
		time.Sleep(time.Until(free))
		woke := time.Now()
		close(x.end)
		s.mu.Lock()
		s.figures.Came = append(s.figures.Came, x.came.Sub(s.began))
		s.figures.Law = append(s.figures.Law, free.Sub(x.came))
		s.figures.Late = append(s.figures.Late, woke.Sub(free))
		s.mu.Unlock()
	}
}

// ends is when a worker has done what it begins at a time.
func (s *Server) ends(begin time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := begin.Sub(s.began)
	slow := 1 + s.law.Leak*min(age.Seconds()/300, 1)
	if s.law.Noise > 0 && s.busyAt(begin) {
		slow *= 1 + s.law.Noise
	}
	left := time.Duration(s.law.Service(s.r) * slow * float64(time.Second))
	if s.law.Pause == 0 {
		return begin.Add(left)
	}
	at := begin
	for i := 0; ; i++ {
		if i == len(s.pauses) {
			s.pauses = append(s.pauses, s.pause())
		}
		p := s.pauses[i]
		if !p.to.After(at) {
			continue
		}
		if p.from.After(at) {
			if end := at.Add(left); !end.After(p.from) {
				return end
			}
			left -= p.from.Sub(at)
		}
		at = p.to
	}
}

// pause draws the next pause. Pauses are due at random; one that is due during another
// follows it.
func (s *Server) pause() span {
	s.due = s.due.Add(time.Duration(s.r.ExpFloat64() * float64(s.law.PauseEvery)))
	from := s.due
	if n := len(s.pauses); n > 0 && s.pauses[n-1].to.After(from) {
		from = s.pauses[n-1].to
	}
	return span{from, from.Add(s.law.Pause)}
}

// busyAt tells whether the neighbour is busy.
func (s *Server) busyAt(t time.Time) bool {
	for len(s.noise) == 0 || !s.noise[len(s.noise)-1].to.After(t) {
		last := s.began
		if n := len(s.noise); n > 0 {
			last = s.noise[n-1].to.Add(time.Duration(s.r.ExpFloat64() * float64(s.law.NoiseOff)))
		}
		s.noise = append(s.noise, span{last, last.Add(time.Duration(s.r.ExpFloat64() * float64(s.law.NoiseOn)))})
	}
	for _, n := range s.noise {
		if !t.Before(n.from) && t.Before(n.to) {
			return true
		}
	}
	return false
}
