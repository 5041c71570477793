package flow

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// httpClient speaks HTTP/1.1, or HTTP/2 alone. It is a bare transport: redirects
// are answers, there are no cookies, and nothing is shared with the process.
type httpClient struct {
	config    Config
	transport *http.Transport
}

func newHTTP(c Config) *httpClient {
	t := &http.Transport{
		DialContext:         c.Meter.Dial,
		MaxIdleConns:        c.Workers,
		MaxIdleConnsPerHost: c.Workers,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
		TLSClientConfig:     c.TLS.Clone(),
		Protocols:           new(http.Protocols),
	}
	t.Protocols.SetHTTP1(!c.HTTP2)
	t.Protocols.SetHTTP2(c.HTTP2)
	t.Protocols.SetUnencryptedHTTP2(c.HTTP2)
	return &httpClient{config: c, transport: t}
}

func (h *httpClient) close() { h.transport.CloseIdleConnections() }

func (h *httpClient) exchange(ctx context.Context, r *Request, u *url.URL, s *state, reply *attack.Reply) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, h.config.Timeout)
	defer cancel()
	request, err := h.request(r, u, s)
	if err != nil {
		refuse(reply, err)
		return a
	}
	reply.Out = uint64(max(0, request.ContentLength))
	res, err := h.transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		reply.Fail(err)
		return a
	}
	defer res.Body.Close()
	reply.Status, a.header = res.StatusCode, res.Header
	a.body, err = h.read(res.Body, r, s, reply)
	if err != nil {
		reply.Fail(err)
	}
	return a
}

func (h *httpClient) request(r *Request, u *url.URL, s *state) (*http.Request, error) {
	head, host, err := r.head(h.config, s)
	if err != nil {
		return nil, err
	}
	request := &http.Request{Method: r.Method, URL: u, Host: host, Header: head, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	text, static := r.Body.Static()
	if static && text == "" {
		return request, nil
	}
	body, err := r.payload(h.config, s)
	if err != nil {
		return nil, err
	}
	request.ContentLength = int64(len(body))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	request.Body, _ = request.GetBody()
	return request, nil
}

// read takes the whole body, and keeps it where somebody looks at it.
func (h *httpClient) read(body io.Reader, r *Request, s *state, reply *attack.Reply) ([]byte, error) {
	limited := io.LimitReader(body, int64(h.config.MaxAnswer)+1)
	var n int64
	var kept []byte
	var err error
	if r.keeps() {
		b := bytes.NewBuffer(s.answer[:0])
		n, err = b.ReadFrom(limited)
		s.answer = b.Bytes()
		kept = s.answer
	} else {
		n, err = io.Copy(io.Discard, limited)
	}
	reply.In = uint64(n)
	if err == nil && n > int64(h.config.MaxAnswer) {
		reply.Status, reply.Fault, reply.Text = 0, KindTooLarge, tooLarge
	}
	return kept, err
}
