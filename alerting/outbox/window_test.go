package outbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
)

// anyTraffic puts bursts and single messages into channels that share robots, with
// failures, restarts and slow answers, and looks at what the robots saw.
func anyTraffic(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	s := strict("a", "b", "c")
	dir := t.TempDir()
	cfg := duo(dir)
	cfg.Channels = append(cfg.Channels, Channel{Name: "one", Robots: []string{"b"}})
	arrivals := map[string][]time.Time{} // every message that reached a robot, taken or not
	up := byRobot(s)
	send := func(ctx context.Context, robot string, m dingtalk.Message) error {
		if d := time.Duration(r.IntN(3000)) * time.Millisecond; d > 0 {
			time.Sleep(d)
		}
		arrivals[robot] = append(arrivals[robot], time.Now())
		return up(ctx, robot, m)
	}
	b := open(t, cfg, serial(send))
	keys := 0
	for range 40 {
		for range r.IntN(1 + []int{1, 5, 40}[r.IntN(3)]) {
			channel := []string{"duo", "one", "a"}[r.IntN(3)]
			b.to(t, channel, group(fmt.Sprintf("k%04d", keys), []string{"page", "ticket"}[r.IntN(2)], false))
			keys++
		}
		if r.IntN(4) == 0 {
			kinds := []dingtalktest.Fault{{Kind: dingtalktest.HTTPStatus, Code: 502}, {Kind: dingtalktest.LoseAnswer}, {Kind: dingtalktest.Errcode, Code: -1}}
			s.Inject(kinds[r.IntN(len(kinds))])
		}
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
		if r.IntN(8) == 0 {
			b.stop()
			b = open(t, cfg, serial(send))
		}
	}
	time.Sleep(30 * time.Minute)
	n, _ := b.Waiting()
	b.stop()
	synctest.Wait()
	if n > 0 || len(s.Refusals()) > 0 {
		for _, x := range s.Refusals() {
			if x.Code == 130101 {
				t.Errorf("sent too much: %v", x)
			}
		}
	}
	for robot, at := range arrivals {
		for i := cfg.Limit; i < len(at); i++ {
			if d := at[i].Sub(at[i-cfg.Limit]); d < time.Minute {
				t.Errorf("%s: %d messages within %s", robot, cfg.Limit+1, d)
			}
		}
	}
	var all strings.Builder
	for _, m := range s.Messages() {
		all.WriteString(m.Title + m.Text)
	}
	for i := range keys {
		if k := fmt.Sprintf("A-k%04d", i); !strings.Contains(all.String(), k) {
			t.Errorf("%s is told nowhere", k)
		}
	}
}

// A storm that goes on for minutes is told all the time: nothing waits for the next
// window, and a page does not wait at all.
func TestStormIsToldAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict("r")
		b := open(t, DefaultConfig(t.TempDir()), byRobot(s))
		put := map[string]time.Time{}
		add := func(key, severity string) {
			b.put(t, group(key, severity, false))
			put[key] = time.Now()
		}
		for i := range 60 {
			add(fmt.Sprintf("burst%03d", i), "ticket")
		}
		for i := range 360 {
			time.Sleep(500 * time.Millisecond)
			add(fmt.Sprintf("more%03d", i), "ticket")
			if i%180 == 100 {
				add(fmt.Sprintf("page%03d", i), "page")
			}
		}
		time.Sleep(time.Minute)
		b.stop()
		if r := s.Refusals(); len(r) > 0 {
			t.Errorf("refused: %v", r)
		}
		for _, m := range s.Messages() {
			for key, at := range put {
				if !strings.Contains(m.Text, "A-"+key) {
					continue
				}
				most := 20 * time.Second
				if strings.HasPrefix(key, "page") {
					most = time.Second
				}
				if d := m.At.Sub(at); d > most {
					t.Errorf("%s was told after %s", key, d)
				}
				delete(put, key)
			}
		}
		if len(put) > 0 {
			t.Errorf("told nowhere: %d of 422", len(put))
		}
	})
}

// serial keeps the test's own notes from being written at once.
func serial(send Send) Send {
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, robot string, m dingtalk.Message) error {
		turn <- struct{}{}
		defer func() { <-turn }()
		return send(ctx, robot, m)
	}
}
