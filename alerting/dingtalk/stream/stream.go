package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/api"
)

// TopicCard is the topic of what people do with cards.
const TopicCard = "/v1.0/card/instances/callback"

// Config says what to listen for. Use [DefaultConfig] and set the credentials.
type Config struct {
	ClientID     string
	ClientSecret api.Secret
	OpenAPI      string   // empty: [dingtalk.DefaultOpenAPI]
	Topics       []string // of callbacks
	// Ping is the time between pings, each of which must be answered within
	// PingTimeout, for a connection that was cut does not say so.
	Ping, PingTimeout time.Duration
	Timeout           time.Duration // of opening a connection, and of each answer
	// FirstRetry is the wait before a second try to connect; it doubles up to
	// LastRetry. After a connection that worked it is the first one again.
	FirstRetry, LastRetry time.Duration
}

// DefaultConfig is complete but for the credentials, and listens for cards.
func DefaultConfig() Config {
	return Config{
		Topics: []string{TopicCard},
		Ping:   30 * time.Second, PingTimeout: 10 * time.Second, Timeout: 10 * time.Second,
		FirstRetry: 500 * time.Millisecond, LastRetry: time.Minute,
	}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	check(c.ClientID != "", "clientId: must not be empty")
	check(c.ClientSecret != "", "clientSecret: must not be empty")
	check(len(c.Topics) > 0, "topics: must not be empty")
	check(c.Ping > 0 && c.PingTimeout > 0, "ping: must be positive")
	check(c.Timeout > 0, "timeout: must be positive")
	check(c.FirstRetry > 0 && c.FirstRetry <= c.LastRetry, "firstRetry: must be positive and at most lastRetry")
	return errors.Join(errs...)
}

// Callback is what DingTalk pushes. The same one, with the same ID, may come more
// than once.
type Callback struct {
	ID    string
	Topic string
	Data  []byte // JSON
}

// Accept takes responsibility for a callback. It must return soon, and do the work
// later: after nil DingTalk is told that it was taken, after an error it pushes the
// callback again. It is not called for two callbacks at once.
type Accept func(ctx context.Context, c Callback) error

// Client keeps one connection open.
type Client struct {
	cfg    Config
	accept Accept
	log    *slog.Logger
	http   *http.Client
	open   atomic.Bool
}

// New returns a client; it connects in Run.
func New(cfg Config, accept Accept, log *slog.Logger) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	return &Client{cfg: cfg, accept: accept, log: log, http: dingtalk.NewHTTPClient()}, nil
}

// Connected reports whether a connection is open.
func (c *Client) Connected() bool { return c.open.Load() }

// Run keeps a connection open until ctx ends, and returns nil then.
func (c *Client) Run(ctx context.Context) error {
	fails := 0
	for ctx.Err() == nil {
		start := time.Now()
		worked, err := c.session(ctx)
		worked = worked || time.Since(start) > c.cfg.LastRetry
		if ctx.Err() != nil {
			break
		}
		if worked {
			fails = 0
		}
		if fails++; fails == 1 && !worked {
			c.log.Warn("no stream from DingTalk, trying again: buttons of cards do nothing until then", "err", err)
		}
		wait(ctx, c.backoff(fails))
	}
	return nil
}

// backoff doubles with each failure in a row, less up to a quarter so that several
// do not knock together.
func (c *Client) backoff(fails int) time.Duration {
	d := c.cfg.LastRetry
	if fails < 30 {
		d = min(d, c.cfg.FirstRetry<<(fails-1))
	}
	return d - rand.N(d/4+1)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// session is one connection from ticket to end. It worked when any frame came.
func (c *Client) session(ctx context.Context) (worked bool, err error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.CloseNow() }() // it is no longer of use, whatever that says
	conn.SetReadLimit(1 << 20)
	ctx, cancel := context.WithCancel(ctx)
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		c.ping(ctx, cancel, conn)
	}()
	defer func() { cancel(); <-pinging }()
	c.open.Store(true)
	defer c.open.Store(false)
	c.log.Info("stream from DingTalk is open")
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return worked, err
		}
		worked = true
		again, err := c.handle(ctx, conn, data)
		if err != nil || again {
			return worked, err
		}
	}
}

// ping ends the session when an answer stays out.
func (c *Client) ping(ctx context.Context, end context.CancelFunc, conn *websocket.Conn) {
	t := time.NewTicker(c.cfg.Ping)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		within, cancel := context.WithTimeout(ctx, c.cfg.PingTimeout)
		err := conn.Ping(within)
		cancel()
		if err != nil {
			end()
			return
		}
	}
}

// dial asks for an endpoint and connects to it.
func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	at, err := c.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	// The ticket opens the stream to whoever has it: it is not part of errors.
	conn, resp, err := websocket.Dial(ctx, at.String(), &websocket.DialOptions{HTTPClient: c.http}) //nolint:bodyclose // closed by Dial
	if err != nil {
		status := "no answer"
		if resp != nil {
			status = resp.Status
		}
		return nil, fmt.Errorf("connect to stream at %s: %s", at.Host, status)
	}
	return conn, nil
}

// endpoint is where to connect, with a ticket for one connection.
func (c *Client) endpoint(ctx context.Context) (*url.URL, error) {
	base := strings.TrimSuffix(c.cfg.OpenAPI, "/")
	if base == "" {
		base = dingtalk.DefaultOpenAPI
	}
	answer, err := c.openConnection(ctx, base)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(answer.Endpoint)
	if err != nil || at.Host == "" || answer.Ticket == "" {
		return nil, errors.New("open stream: answer without endpoint and ticket")
	}
	if at.Scheme != "wss" && (at.Scheme != "ws" || strings.HasPrefix(base, "https:")) {
		return nil, fmt.Errorf("open stream: endpoint is %s, not wss", at.Scheme)
	}
	q := at.Query()
	q.Set("ticket", answer.Ticket)
	at.RawQuery = q.Encode()
	return at, nil
}
