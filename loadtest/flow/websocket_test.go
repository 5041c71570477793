package flow_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
)

// chat answers each message with two, the second of which holds the first word
// twice, and does what a message says.
type chat struct {
	marked, normal  atomic.Int64
	arrived, served chan struct{} // have room for some
}

func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/refused" {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	if r.URL.Path == "/plain" {
		return
	}
	if r.Header.Get(attack.Header) == "lt-test" {
		c.marked.Add(1)
	}
	note(c.arrived)
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	defer note(c.served)
	ctx := context.Background()
	for {
		_, text, err := conn.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			c.normal.Add(1)
		}
		if err != nil {
			return
		}
		switch string(text) {
		case "leave":
			_ = conn.Close(websocket.StatusPolicyViolation, "away")
			return
		case "cut":
			return
		case "big":
			text = make([]byte, 1000)
		}
		for _, m := range []string{"noise", string(text) + string(text)} {
			if conn.Write(ctx, websocket.MessageText, []byte(m)) != nil {
				return
			}
		}
	}
}

func note(events chan struct{}) {
	select {
	case events <- struct{}{}:
	default:
	}
}

func serveChat(t *testing.T) (*chat, string) {
	t.Helper()
	c := &chat{arrived: make(chan struct{}, 3), served: make(chan struct{}, 10)}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return c, strings.Replace(s.URL, "http", "ws", 1)
}

func TestWebsocket(t *testing.T) {
	c, url := serveChat(t)
	spec := parse(t, url, `
  targets:
    - url: $URL/chat/{{seq}}
      messages: [{send: "hi-{{seq}}", expect: "hi-{{seq}}hi"}, {send: bye}, {expect: byebye}]
      checks: [{contains: bye}]
      hold: 2s
  stages: [{rate: 50, duration: 200ms}]
`)
	r := run(t, spec, loadtest.Options{})
	if r.Sent != 10 || r.Status[200] != 10 || r.BytesOut != 10*(4+3) || c.marked.Load() != 10 {
		t.Errorf("sent %d, status %v, errors %v, %d bytes out, %d marked", r.Sent, r.Status, r.Errors, r.BytesOut, c.marked.Load())
	}
	if r.Latency.P50 >= 2 {
		t.Errorf("p50 %v s: the time in which connections were held is no latency", r.Latency.P50)
	}
	for range 10 {
		<-c.served
	}
	if c.normal.Load() != 10 {
		t.Errorf("%d of 10 connections were closed properly", c.normal.Load())
	}
}

func TestWebsocketFaults(t *testing.T) {
	_, url := serveChat(t)
	for name, c := range map[string]struct {
		target string
		status int
		fault  string
	}{
		"refused":           {"{url: $URL/refused}", 429, ""},
		"no answer":         {"{url: $URL/, messages: [{send: a, expect: b}]}", 0, attack.KindTimeout},
		"closed":            {"{url: $URL/, messages: [{send: leave, expect: b}]}", 0, "closed"},
		"closed while held": {"{url: $URL/, messages: [{send: leave}], hold: 10s}", 0, "closed"},
		"cut":               {"{url: $URL/, messages: [{send: cut, expect: b}]}", 0, attack.KindEOF},
		"too large":         {"{url: $URL/, messages: [{send: big, expect: b}]}", 0, "too-large"},
		"no server":         {"{url: \"ws://127.0.0.1:1/\"}", 0, attack.KindRefused},
		"no websocket":      {"{url: $URL/plain}", 0, "no-upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := parse(t, url, "\n  targets: ["+c.target+"]\n  stages: [{rate: 50, duration: 100ms}]\n  timeout: 200ms\n  maxAnswer: 500\n")
			r := run(t, spec, loadtest.Options{})
			if c.status != 0 && r.Status[c.status] != 5 || c.fault != "" && r.Errors[c.fault] != 5 {
				t.Errorf("status %v, errors %v", r.Status, r.Errors)
			}
		})
	}
}

func TestWebsocketIsCanceled(t *testing.T) {
	c, url := serveChat(t)
	spec := parse(t, url, `
  targets: [{url: $URL/, messages: [{send: a, expect: aa}], hold: 1h}]
  stages: [{rate: 100, duration: 1m}]
`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 3 {
			<-c.arrived
		}
		cancel()
	}()
	r, err := loadtest.Run(ctx, spec, loadtest.Options{Run: "lt-test"})
	if err != nil || r.Stopped != "caller" || r.Canceled != r.Sent {
		t.Errorf("%v, stopped %q, sent %d, canceled %d, errors %v", err, r.Stopped, r.Sent, r.Canceled, r.Errors)
	}
}
