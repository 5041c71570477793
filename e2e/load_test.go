package e2e

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// load is callers on their way: open loop, so a slow answer makes no caller wait.
type load struct {
	t      *testing.T
	client *http.Client
	quit   chan struct{}
	done   sync.WaitGroup

	mu sync.Mutex
	c  counts
	id string // of the last answer
}

// counts are what came back.
type counts struct {
	sent     map[string]int    // by function
	status   map[int]int       // of answers; 0: none came
	failed   []string          // texts of all calls that ended neither in 2xx nor in 429
	answered map[string]string // request id to function, of all whole answers
}

func (c counts) total() (n int) {
	for _, sent := range c.sent {
		n += sent
	}
	return n
}

// call begins to call all paths in turn, rate calls a second in all.
func call(t *testing.T, gateway string, paths map[string]string, rate float64) *load {
	t.Helper()
	const workers = 96
	l := &load{
		t: t, quit: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}, Timeout: patience},
		c:      counts{sent: map[string]int{}, status: map[int]int{}, answered: map[string]string{}},
	}
	names := slices.Sorted(maps.Keys(paths))
	begin := time.Now()
	var next atomic.Int64
	for range workers {
		l.done.Go(func() {
			for {
				i := next.Add(1)
				due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				select {
				case <-l.quit:
					return
				case <-time.After(time.Until(due)):
				}
				name := names[int(i)%len(names)]
				l.one(name, "http://"+gateway+paths[name])
			}
		})
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) one(name, url string) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		l.note(name, 0, "", err)
		return
	}
	req.Host = fleet.Host
	res, err := l.client.Do(req)
	if err != nil {
		l.note(name, 0, "", err)
		return
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	l.note(name, res.StatusCode, res.Header.Get("x-request-id"), err)
}

func (l *load) note(name string, status int, id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.c.sent[name]++
	l.c.status[status]++
	if id != "" && err == nil {
		l.c.answered[id] = name
		l.id = id
	}
	if err != nil || status != http.StatusOK && status != http.StatusTooManyRequests {
		l.c.failed = append(l.c.failed, fmt.Sprintf("%s %s: status %d, %v", time.Now().Format("15:04:05.000"), name, status, err))
	}
}

// failures is how many calls have failed so far.
func (l *load) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.c.failed)
}

// stop ends the calling, waits for the answers and returns the counts.
func (l *load) stop() counts {
	select {
	case <-l.quit:
	default:
		close(l.quit)
	}
	l.done.Wait()
	l.client.CloseIdleConnections()
	return l.c
}

// settle makes one more call and waits until it and all before it are stored, so
// that a stop leaves nothing in the write-ahead log.
func (p *process) settle(c *counts, paths map[string]string) {
	p.t.Helper()
	name := slices.Min(slices.Collect(maps.Keys(paths)))
	last := &load{t: p.t, client: httpClient, c: *c}
	last.one(name, "http://"+p.addr.Gateway+paths[name])
	*c = last.c
	until(p.t, "all calls are stored", func() error {
		var list app.CallList
		if err := p.get("/api/v1/calls?request_id="+last.id, &list); err != nil {
			return err
		}
		if len(list.Calls) == 0 {
			return errors.New("the last call is not stored")
		}
		waiting, err := p.metric("kongdao_collector_wal_rows")
		if err == nil && waiting > 0 {
			err = fmt.Errorf("%v calls are in the write-ahead log", waiting)
		}
		return err
	})
}

// served waits until a call of a function is answered with 200.
func served(t *testing.T, gateway string, paths map[string]string) {
	t.Helper()
	for name, path := range paths {
		until(t, name+" is served", func() error {
			req, err := http.NewRequest(http.MethodGet, "http://"+gateway+path, nil)
			if err != nil {
				return err
			}
			req.Host = fleet.Host
			res, err := httpClient.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("status %d", res.StatusCode)
			}
			return nil
		})
	}
}
