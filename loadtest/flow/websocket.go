package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// wsClient opens a connection for each exchange, says what there is to say, holds
// it open and closes it properly. A whole exchange counts as status 200, a refused
// upgrade has the status that refused it.
type wsClient struct {
	config Config
	http   *httpClient // for the upgrade, which is HTTP/1.1
}

func newWebsocket(c Config) *wsClient {
	c.HTTP2 = false
	return &wsClient{config: c, http: newHTTP(c)}
}

func (w *wsClient) close() { w.http.close() }

func (w *wsClient) exchange(ctx context.Context, r *Request, u *url.URL, s *state, reply *attack.Reply) (a answer) {
	timed, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	head, host, err := r.head(w.config, s)
	if err != nil {
		refuse(reply, err)
		return a
	}
	conn, res, err := websocket.Dial(timed, //nolint:bodyclose // Dial has closed it, as it says
		u.String(), &websocket.DialOptions{
			HTTPClient: &http.Client{
				Transport:     w.http.transport,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
			HTTPHeader: head.Clone(), Host: host,
		})
	if res != nil {
		a.header = res.Header
	}
	if err != nil {
		reply.Fail(err)
		switch {
		case res == nil || res.StatusCode == http.StatusSwitchingProtocols:
		case res.StatusCode < http.StatusBadRequest: // an answer, but of something else
			reply.Fault = KindNoUpgrade
		default:
			reply.Status, reply.Fault = res.StatusCode, ""
		}
		return a
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(int64(w.config.MaxAnswer))
	for _, m := range r.Messages {
		if a.body, err = w.say(timed, conn, m, s, reply); err != nil {
			fail(reply, err)
			return a
		}
	}
	reply.Status = http.StatusOK
	said := time.Now()
	if err := w.hold(ctx, conn, r.Hold, reply); err != nil {
		fail(reply, err)
	}
	reply.Held = time.Since(said)
	return a
}

// say sends a message and passes over what comes until the expected one.
func (w *wsClient) say(ctx context.Context, conn *websocket.Conn, m Message, s *state, reply *attack.Reply) ([]byte, error) {
	if text := m.Send.String(&s.values); text != "" {
		if len(text) > w.config.MaxBody {
			return nil, fmt.Errorf("a message of %d bytes is above the cap of %d", len(text), w.config.MaxBody)
		}
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			return nil, err
		}
		reply.Out += uint64(len(text))
	}
	want := m.Expect.Append(nil, &s.values)
	for len(want) > 0 {
		_, got, err := conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		reply.In += uint64(len(got))
		if bytes.Contains(got, want) {
			return got, nil
		}
	}
	return nil, nil
}

// hold reads what comes until the time is over, then closes. A server that closes
// before is at fault.
func (w *wsClient) hold(ctx context.Context, conn *websocket.Conn, d time.Duration, reply *attack.Reply) error {
	if d > 0 {
		ended := make(chan error, 1)
		go func() { ended <- drain(ctx, conn, reply) }()
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case err := <-ended:
			return err
		case <-timer.C:
			defer func() { <-ended }() //nolint:errcheck // that it is closed: by us
		}
	}
	_ = conn.Close(websocket.StatusNormalClosure, "") // it has said everything
	return nil
}

func drain(ctx context.Context, conn *websocket.Conn, reply *attack.Reply) error {
	for {
		_, got, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		reply.In += uint64(len(got))
	}
}

// fail tells a close from a cut, and both from a message that is too large.
func fail(reply *attack.Reply, err error) {
	reply.Fail(err)
	var closed websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrMessageTooBig):
		reply.Fault = KindTooLarge
	case errors.As(err, &closed):
		reply.Fault = KindClosed
	}
}
