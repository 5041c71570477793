package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"
)

type subscription struct {
	Type  string `json:"type"`
	Topic string `json:"topic"`
}

type connection struct {
	Endpoint string `json:"endpoint"`
	Ticket   string `json:"ticket"`
}

func (c *Client) openConnection(ctx context.Context, base string) (connection, error) {
	var topics []subscription
	for _, t := range c.cfg.Topics {
		topics = append(topics, subscription{"CALLBACK", t})
	}
	body, err := json.Marshal(map[string]any{
		"clientId": c.cfg.ClientID, "clientSecret": c.cfg.ClientSecret.Reveal(), "subscriptions": topics, "ua": "kongdao",
	})
	if err != nil {
		return connection{}, errors.New("open stream: request cannot be encoded")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1.0/gateway/connections/open", bytes.NewReader(body))
	if err != nil {
		return connection{}, errors.New("open stream: request cannot be built")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return connection{}, fmt.Errorf("open stream: %w", err) // the address holds no secret
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return connection{}, fmt.Errorf("open stream: DingTalk answers %s", resp.Status)
	}
	var answer connection
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err != nil {
		return connection{}, errors.New("open stream: answer is no JSON")
	}
	return answer, nil
}

// frame is what DingTalk sends.
type frame struct {
	Type    string            `json:"type"`
	Headers map[string]string `json:"headers"`
	Data    string            `json:"data"`
}

// answer is what it is told.
type answer struct {
	Code    int               `json:"code"`
	Headers map[string]string `json:"headers"`
	Message string            `json:"message"`
	Data    string            `json:"data"`
}

// Kinds of frames, and topics of the system's.
const (
	kindSystem      = "SYSTEM"
	kindCallback    = "CALLBACK"
	topicPing       = "ping"
	topicDisconnect = "disconnect"
)

// emptyResponse leaves the card as it is; it is changed later, for everybody.
const emptyResponse = `{"response":{}}`

// handle takes one frame. Again says that a new connection is wanted.
func (c *Client) handle(ctx context.Context, conn *websocket.Conn, data []byte) (again bool, err error) {
	var f frame
	if err := json.Unmarshal(data, &f); err != nil || f.Headers["messageId"] == "" {
		c.log.Warn("stream: a frame that cannot be read, passed over", "bytes", len(data))
		return false, nil
	}
	a := answer{Code: http.StatusOK, Message: "ok"}
	switch {
	case f.Type == kindSystem && f.Headers["topic"] == topicPing:
		a.Data = f.Data
	case f.Type == kindSystem && f.Headers["topic"] == topicDisconnect:
		again = true
	case f.Type == kindSystem: // connected, registered, keepalive
	case f.Type == kindCallback:
		if a, err = c.callback(ctx, f); err != nil {
			c.log.Warn("stream: callback not taken, DingTalk will push it again", "id", f.Headers["messageId"], "err", err)
		}
	default:
		a.Code, a.Message = http.StatusNotFound, "nobody listens"
	}
	return again, c.reply(ctx, conn, f, a)
}

func (c *Client) callback(ctx context.Context, f frame) (answer, error) {
	known := false
	for _, t := range c.cfg.Topics {
		known = known || t == f.Headers["topic"]
	}
	if !known {
		return answer{Code: http.StatusNotFound, Message: "nobody listens"}, nil
	}
	call := Callback{ID: f.Headers["messageId"], Topic: f.Headers["topic"], Data: []byte(f.Data)}
	if err := c.accept(ctx, call); err != nil {
		return answer{Code: http.StatusInternalServerError, Message: "not taken"}, err
	}
	return answer{Code: http.StatusOK, Message: "ok", Data: emptyResponse}, nil
}

func (c *Client) reply(ctx context.Context, conn *websocket.Conn, f frame, a answer) error {
	a.Headers = map[string]string{"messageId": f.Headers["messageId"], "contentType": "application/json"}
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, text)
}
