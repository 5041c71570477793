// Package traffic plays the users of the demo: open-loop GETs through the
// gateway at a steady rate, counted by function, status and second. It is
// ordinary traffic, not a load test: nothing marks it.
package traffic

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Source is what traffic asks for.
type Source struct {
	Gateway string            // host:port
	Host    string            // host name of the functions
	Paths   map[string]string // function name to the path it is called by
	Rate    float64           // requests a second, over all functions in turn
	Workers uint64            // requests in flight at most; 0: 64
}

// Second is what happened to the requests that were sent in one second.
type Second struct {
	Sent, OK, Refused, Failed int // Refused: 429. Failed: anything but 2xx and 429
}

// Counts is what came back so far.
type Counts struct {
	Sent, Refused, Failed int
	ByFunction            map[string]int // requests sent
	Seconds               map[int64]Second
	FirstFailure          string // text of the first failure, for whoever has to look
}

// Generator is traffic on its way.
type Generator struct {
	attacker *vegeta.Attacker
	client   *http.Client
	names    map[string]string // path to function
	done     chan struct{}

	mu     sync.Mutex
	counts Counts
}

// Start begins to send. The caller calls [Generator.Stop].
func Start(s Source) (*Generator, error) {
	if s.Rate <= 0 || len(s.Paths) == 0 {
		return nil, errors.New("traffic needs a rate above 0 and functions to call")
	}
	if s.Workers == 0 {
		s.Workers = 64
	}
	transport := &http.Transport{MaxIdleConnsPerHost: int(s.Workers), DisableCompression: true}
	g := &Generator{
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second},
		names:  map[string]string{},
		done:   make(chan struct{}),
		counts: Counts{ByFunction: map[string]int{}, Seconds: map[int64]Second{}},
	}
	var targets []vegeta.Target
	for name, path := range s.Paths {
		g.names[path] = name
		u := url.URL{Scheme: "http", Host: s.Gateway, Path: path}
		targets = append(targets, vegeta.Target{Method: http.MethodGet, URL: u.String(), Header: http.Header{"Host": {s.Host}}})
	}
	g.attacker = vegeta.NewAttacker(vegeta.Client(g.client), vegeta.Workers(min(8, s.Workers)), vegeta.MaxWorkers(s.Workers))
	rate := vegeta.Rate{Freq: int(s.Rate * 1000), Per: 1000 * time.Second}
	results := g.attacker.Attack(vegeta.NewStaticTargeter(targets...), rate, 0, "demo")
	go g.collect(results)
	return g, nil
}

func (g *Generator) collect(results <-chan *vegeta.Result) {
	defer close(g.done)
	for r := range results {
		g.add(r)
	}
}

func (g *Generator) add(r *vegeta.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.counts
	second := c.Seconds[r.Timestamp.Unix()]
	second.Sent++
	c.Sent++
	c.ByFunction[g.function(r.URL)]++
	switch {
	case r.Code >= 200 && r.Code < 300:
		second.OK++
	case r.Code == http.StatusTooManyRequests:
		second.Refused++
		c.Refused++
	default:
		second.Failed++
		c.Failed++
		if c.FirstFailure == "" {
			c.FirstFailure = r.URL + ": " + r.Error
		}
	}
	c.Seconds[r.Timestamp.Unix()] = second
}

func (g *Generator) function(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return g.names[u.Path]
}

// Counts is a copy of the counts so far.
func (g *Generator) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts
	c.ByFunction = maps.Clone(c.ByFunction)
	c.Seconds = maps.Clone(c.Seconds)
	return c
}

// Stop ends the sending, waits for the requests in flight and returns all counts.
func (g *Generator) Stop() Counts {
	g.attacker.Stop()
	<-g.done
	g.client.CloseIdleConnections()
	return g.Counts()
}
