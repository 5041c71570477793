// Package lean exchanges requests that do not change for answers nobody looks into,
// over plain HTTP/1.1, at a fraction of what net/http costs: a connection belongs to
// one worker, requests are bytes that were made once, and of an answer only the
// status and where it ends are read.
//
// It promises what the load generator needs of [net/http.Transport] and no more: whole
// answers or an error; one more try on a new connection when a kept one turns out to
// have been closed before anything of the answer came, for methods that may be
// repeated; a timeout for each exchange; and that [Client.Close], like the end of the
// context of the first exchange, ends all that are going on. No proxies, no
// redirects, no TLS, no "Expect: 100-continue", no compression.
package lean

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// Request is what is sent, ready made.
type Request struct {
	Address string // host:port
	Text    []byte // the whole of it
	Head    bool   // its answer has no body
	Again   bool   // it may be sent again; see package comment
	Body    uint64 // bytes of the body
}

// Make renders a request of the scheme http as net/http would.
func Make(r *http.Request) (*Request, error) {
	if r.URL.Scheme != "http" {
		return nil, errors.New("lean: only plain http")
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		return nil, err
	}
	address := r.URL.Host
	if r.URL.Port() == "" {
		address = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	out := &Request{Address: address, Text: text.Bytes(), Head: r.Method == http.MethodHead, Body: uint64(max(0, r.ContentLength))}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		out.Again = true
	}
	return out, nil
}

// Answer is how an exchange ended.
type Answer struct {
	Status int
	Bytes  uint64 // of the body
}

// ErrTooLarge is for a body above the cap.
var ErrTooLarge = errors.New("the answer is larger than allowed")

// Client has the connections of all workers. Close ends it.
type Client struct {
	timeout time.Duration // of one exchange
	most    uint64        // bytes of an answer's body
	dial    Dial

	mu     sync.Mutex
	conns  map[*conn]bool
	closed bool
	stop   func() bool // of the first context
}

// Dial connects, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// New connects to nobody yet.
func New(timeout time.Duration, most uint64, dial Dial) *Client {
	return &Client{timeout: timeout, most: most, dial: dial, conns: map[*conn]bool{}}
}

// Worker is one worker's connections; one exchange at a time. The zero value has none.
type Worker struct{ conns []*conn }

type conn struct {
	net.Conn
	address string
	in      *bufio.Reader
	used    bool
}

// Close ends all connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.stop != nil {
		c.stop()
	}
	for x := range c.conns {
		_ = x.Conn.Close()
	}
	c.conns = map[*conn]bool{}
}

// Exchange sends the request and reads the whole answer.
func (c *Client) Exchange(ctx context.Context, w *Worker, r *Request) (Answer, error) {
	deadline := time.Now().Add(c.timeout)
	for {
		x, err := c.take(ctx, w, r.Address, deadline)
		if err != nil {
			return Answer{}, err
		}
		fresh := !x.used
		a, keep, err := x.exchange(r, c.most, deadline)
		if err == nil && keep {
			x.used = true
			return a, nil
		}
		begun := x.in.Buffered() > 0 || a.Status != 0
		c.drop(w, x)
		if err == nil {
			return a, nil
		}
		if fresh || begun || !r.Again || !hungUp(err) || ctx.Err() != nil {
			return Answer{}, timely(err)
		}
	}
}

// hungUp tells that a kept connection had been closed by the other side.
func hungUp(err error) bool {
	var network net.Error
	return !errors.As(err, &network) || !network.Timeout()
}

func timely(err error) error {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return context.DeadlineExceeded
	}
	return err
}

func (c *Client) take(ctx context.Context, w *Worker, address string, deadline time.Time) (*conn, error) {
	for _, x := range w.conns {
		if x.address == address {
			return x, nil
		}
	}
	dialing, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	plain, err := c.dial(dialing, "tcp", address)
	if err != nil {
		return nil, err
	}
	x := &conn{Conn: plain, address: address, in: bufio.NewReaderSize(plain, 8<<10)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || ctx.Err() != nil {
		_ = plain.Close()
		return nil, context.Canceled
	}
	if c.stop == nil {
		c.stop = context.AfterFunc(ctx, c.cut)
	}
	c.conns[x] = true
	w.conns = append(w.conns, x)
	return x, nil
}

// cut ends all exchanges.
func (c *Client) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for x := range c.conns {
		_ = x.Conn.Close()
	}
}

func (c *Client) drop(w *Worker, x *conn) {
	_ = x.Conn.Close()
	for i := range w.conns {
		if w.conns[i] == x {
			w.conns = append(w.conns[:i], w.conns[i+1:]...)
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, x)
}

// exchange answers whether the connection may be used again.
func (x *conn) exchange(r *Request, most uint64, deadline time.Time) (a Answer, keep bool, err error) {
	if err := x.SetDeadline(deadline); err != nil {
		return a, false, err
	}
	if _, err := x.Write(r.Text); err != nil {
		return a, false, err
	}
	h, err := readHead(x.in)
	a.Status = h.status
	if err != nil {
		return a, false, err
	}
	n, err := x.body(h, r.Head, most)
	a.Bytes = uint64(n)
	ends := h.length != untilClose || h.bodyless(r.Head)
	return a, h.keep && ends && x.in.Buffered() == 0, err // what nobody asked for spoils the next answer
}

func (x *conn) body(h head, isHead bool, most uint64) (int64, error) {
	switch {
	case h.bodyless(isHead):
		return 0, nil
	case h.length == chunked:
		n, err := discard(httputil.NewChunkedReader(x.in), most)
		if err != nil {
			return n, err
		}
		return n, skipTrailer(x.in)
	case h.length == untilClose:
		return discard(x.in, most)
	case uint64(h.length) > most:
		return 0, ErrTooLarge
	}
	n, err := discardN(x.in, h.length)
	return n, err
}

// discardN is quick for what is in the buffer already.
func discardN(in *bufio.Reader, n int64) (int64, error) {
	if n <= int64(in.Buffered()) {
		k, err := in.Discard(int(n))
		return int64(k), err
	}
	k, err := io.CopyN(io.Discard, in, n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return k, err
}

func discard(in io.Reader, most uint64) (int64, error) {
	n, err := io.Copy(io.Discard, io.LimitReader(in, int64(most)+1))
	if err == nil && uint64(n) > most {
		err = ErrTooLarge
	}
	return n, err
}

// skipTrailer reads up to the empty line after the last chunk.
func skipTrailer(in *bufio.Reader) error {
	for range maxFields {
		line, err := readLine(in)
		if err != nil || len(line) == 0 {
			return err
		}
	}
	return errHead
}
