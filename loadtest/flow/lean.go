package flow

import (
	"context"
	"errors"
	"net/url"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/lean"
)

// leanClient sends requests over plain HTTP/1.1 that are the same each time and whose
// answers nobody looks into: most of a stress test's, and where its rate counts.
type leanClient struct {
	client *lean.Client
	config Config
}

func newLean(c Config) *leanClient {
	return &leanClient{client: lean.New(c.Timeout, uint64(c.MaxAnswer), c.Meter.Dial), config: c}
}

// prepare makes r lean where that makes no difference but in cost.
func (l *leanClient) prepare(r *Request, by *httpClient) bool {
	_, static := r.Body.Static()
	if r.fixed == nil || r.scheme != "http" || r.header == nil || !static || r.keeps() || l.config.HTTP2 || r.header.Get("Expect") != "" {
		return false
	}
	request, err := by.request(r, r.fixed, nil)
	if err != nil {
		return false // it will be said for each request
	}
	r.ready, err = lean.Make(request)
	return err == nil
}

func (l *leanClient) exchange(ctx context.Context, r *Request, _ *url.URL, s *state, reply *attack.Reply) (a answer) {
	reply.Out = r.ready.Body
	got, err := l.client.Exchange(ctx, &s.lean, r.ready)
	switch {
	case errors.Is(err, lean.ErrTooLarge):
		reply.Fault, reply.Text = KindTooLarge, tooLarge
	case err != nil:
		reply.Fail(err)
	default:
		reply.Status, reply.In = got.Status, got.Bytes
	}
	return a
}
