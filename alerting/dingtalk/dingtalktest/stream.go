package dingtalktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/coder/websocket"
)

const (
	topicCard       = "/v1.0/card/instances/callback"
	topicPing       = "ping"
	topicDisconnect = "disconnect"
)

// defaultRepeat is when DingTalk pushes a callback again that was not answered.
func defaultRepeat() []time.Duration { return []time.Duration{16 * time.Second, 60 * time.Second} }

// session is one WebSocket.
type session struct {
	conn   *websocket.Conn
	cancel context.CancelFunc
	quiet  bool // was told to disconnect: nothing is pushed any more
}

// click is a callback on its way.
type click struct {
	answered chan struct{}
	pushes   int
	lose     int // answers that are dropped as if the network lost them
}

type frame struct {
	SpecVersion string            `json:"specVersion"`
	Type        string            `json:"type"`
	Headers     map[string]string `json:"headers"`
	Data        string            `json:"data"`
}

func (s *Server) openConnection(r *http.Request, body []byte, dry bool) (any, *refusal) {
	var in struct {
		ClientID      string `json:"clientId"`
		ClientSecret  string `json:"clientSecret"`
		Subscriptions []struct {
			Type  string `json:"type"`
			Topic string `json:"topic"`
		} `json:"subscriptions"`
		UA      string            `json:"ua"`
		LocalIP string            `json:"localIp"`
		Extras  map[string]string `json:"extras"`
	}
	if err := strict(body, &in); err != nil {
		return nil, bad("invalidParameter", err.Error())
	}
	if in.ClientID != s.cfg.App.ClientID || in.ClientSecret != s.cfg.App.ClientSecret {
		return nil, &refusal{status: http.StatusUnauthorized, Code: "authFailed", Message: "鉴权失败"}
	}
	card := false
	for _, sub := range in.Subscriptions {
		if !slices.Contains([]string{"SYSTEM", "EVENT", "CALLBACK"}, sub.Type) || sub.Topic == "" {
			return nil, bad("invalidParameter", "subscription "+sub.Type+" "+sub.Topic)
		}
		card = card || sub.Type == "CALLBACK" && sub.Topic == topicCard
	}
	if !card {
		return nil, bad("invalidParameter", "no subscription for cards")
	}
	if dry {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.serial++
	ticket := fmt.Sprintf("ticket-%d", s.app.serial)
	s.app.tickets[ticket] = s.cfg.Now().Add(ticketLife)
	return map[string]string{"endpoint": "ws://" + r.Host + pathConnect, "ticket": ticket}, nil
}

// serveStream is one connection, from ticket to end.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	s.mu.Lock()
	ends, ok := s.app.tickets[ticket]
	delete(s.app.tickets, ticket) // each opens one connection
	ok = ok && s.cfg.Now().Before(ends)
	s.mu.Unlock()
	if !ok {
		s.refuseApp(r, &refusal{status: http.StatusUnauthorized, Code: "ticket"})
		http.Error(w, "ticket is not valid", http.StatusUnauthorized)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	// Not the request's context: CutStreams ends it without a farewell.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	x := &session{conn: conn, cancel: cancel}
	s.join(x)
	defer s.leave(x)
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if err := s.answered(data); err != nil {
			s.streamError(err)
		}
	}
}

func (s *Server) join(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.sessions = append(s.app.sessions, x)
	s.tell()
}

func (s *Server) leave(x *session) {
	_ = x.conn.CloseNow()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.sessions = slices.DeleteFunc(s.app.sessions, func(y *session) bool { return x == y })
	s.tell()
}

func (s *Server) streamError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.streamErrors = append(s.app.streamErrors, err.Error())
}

// answered takes what a client sends: nothing but answers to frames.
func (s *Server) answered(data []byte) error {
	var a struct {
		Code    int               `json:"code"`
		Headers map[string]string `json:"headers"`
		Message string            `json:"message"`
		Data    string            `json:"data"`
	}
	if err := strict(data, &a); err != nil {
		return fmt.Errorf("answer %.200s: %w", data, err)
	}
	id := a.Headers["messageId"]
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.app.clicks[id]
	switch {
	case c == nil:
		return fmt.Errorf("answer to %q, which nobody asked", id)
	case a.Headers["contentType"] != "application/json":
		return fmt.Errorf("answer with contentType %q", a.Headers["contentType"])
	case a.Data != "" && !json.Valid([]byte(a.Data)):
		return fmt.Errorf("answer whose data is no JSON: %.200s", a.Data)
	case a.Code != http.StatusOK:
		return nil // is pushed again
	case c.lose > 0:
		c.lose--
		return nil
	}
	select {
	case <-c.answered:
	default:
		close(c.answered)
	}
	return nil
}

// StreamErrors are answers that were not as they must be.
func (s *Server) StreamErrors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.app.streamErrors)
}

// Streams is how many connections are open.
func (s *Server) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.app.sessions)
}

// WaitStreams blocks until n connections are open.
func (s *Server) WaitStreams(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		open, changed := len(s.app.sessions), s.changed
		s.mu.Unlock()
		if open == n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d streams, %d are open: %w", n, open, ctx.Err())
		}
	}
}

// CutStreams breaks all connections without a farewell, as networks do.
func (s *Server) CutStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.app.sessions {
		x.cancel()
	}
}

// Disconnect asks all clients to connect anew, as DingTalk does before it replaces
// a machine. Nothing is pushed to them any more.
func (s *Server) Disconnect(ctx context.Context) error {
	s.mu.Lock()
	sessions := slices.Clone(s.app.sessions)
	for _, x := range sessions {
		x.quiet = true
	}
	s.mu.Unlock()
	var errs []error
	for _, x := range sessions {
		_, err := s.push(ctx, x, "SYSTEM", topicDisconnect, `{"reason":"connection is expired"}`)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Ping sends the ping of the protocol, which is not that of WebSockets, to all
// connections and waits for the answers.
func (s *Server) Ping(ctx context.Context) error {
	s.mu.Lock()
	sessions := slices.Clone(s.app.sessions)
	s.mu.Unlock()
	for _, x := range sessions {
		c, err := s.push(ctx, x, "SYSTEM", topicPing, `{"opaque":"0d8e"}`)
		if err != nil {
			return err
		}
		select {
		case <-c.answered:
		case <-ctx.Done():
			return fmt.Errorf("wait for the answer to a ping: %w", ctx.Err())
		}
	}
	return nil
}

// push sends a new frame.
func (s *Server) push(ctx context.Context, x *session, kind, topic, data string) (*click, error) {
	s.mu.Lock()
	s.app.serial++
	id := fmt.Sprintf("message-%d", s.app.serial)
	c := &click{answered: make(chan struct{})}
	s.app.clicks[id] = c
	s.mu.Unlock()
	return c, s.write(ctx, x, id, c, kind, topic, data)
}

func (s *Server) write(ctx context.Context, x *session, id string, c *click, kind, topic, data string) error {
	text, err := json.Marshal(frame{
		SpecVersion: "1.0", Type: kind, Data: data,
		Headers: map[string]string{
			"topic": topic, "messageId": id, "contentType": "application/json",
			"time": fmt.Sprint(s.cfg.Now().UnixMilli()), "appId": "app", "connectionId": "connection",
		},
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	c.pushes++
	s.mu.Unlock()
	return x.conn.Write(ctx, websocket.MessageText, text)
}
