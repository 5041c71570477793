package attack

import (
	"context"
	"io"
	"net/http"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// static sends a targeter's requests as they are, over HTTP/1.1.
type static struct {
	config   Config
	targeter vegeta.Targeter
	client   *http.Client
}

// Static is the sender of requests that do not change: what a targeter hands out,
// over HTTP/1.1, with a connection for each worker. Redirects are answers.
func Static(c Config, targeter vegeta.Targeter) Sender {
	return &static{config: c, targeter: targeter, client: newClient(c.Workers, c.Meter)}
}

// newClient shares nothing with the rest of the process, keeps a connection for
// each worker and hands redirects back as answers: following one would send a
// request that nobody planned, perhaps to a host that nobody allowed.
func newClient(workers int, m *Meter) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         m.Dial,
			MaxIdleConns:        workers,
			MaxIdleConnsPerHost: workers,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *static) Take(it *Iteration) error {
	target, ok := it.State.(*vegeta.Target)
	if !ok {
		target = &vegeta.Target{}
		it.State = target
	}
	return s.targeter(target)
}

func (s *static) Send(ctx context.Context, it *Iteration) (r Reply, more bool) {
	target := it.State.(*vegeta.Target)
	r = Reply{Out: uint64(len(target.Body)), Method: target.Method, URL: target.URL}
	request, err := target.Request()
	if err != nil {
		r.Fault, r.Text = KindOther, err.Error()
		return r, false
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	request.Header.Set(Header, s.config.Run)
	answer, err := s.client.Do(request.WithContext(ctx))
	if err == nil {
		var n int64
		n, err = io.Copy(io.Discard, answer.Body)
		r.In, r.Status = uint64(n), answer.StatusCode
		_ = answer.Body.Close() // read to its end, or broken already
	}
	if err != nil {
		r.Fail(err)
	}
	return r, false
}

func (s *static) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
