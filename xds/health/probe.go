package health

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// maxBody is as much of an answer as is read; more than a health page ever needs.
const maxBody = 64 << 10

// network asks targets. Each probe has a connection of its own: one that is kept
// would not notice that nobody listens any more.
type network struct {
	dialer    net.Dialer
	transport *http.Transport
	h2        *http.Transport
}

func newNetwork() *network {
	n := &network{}
	n.transport = &http.Transport{DialContext: n.dialer.DialContext, DisableKeepAlives: true, DisableCompression: true}
	n.h2 = n.transport.Clone()
	n.h2.Protocols = &http.Protocols{}
	n.h2.Protocols.SetUnencryptedHTTP2(true)
	return n
}

// probe asks one target; ctx bounds it.
func (n *network) probe(ctx context.Context, t Target) result {
	if t.Path == "" {
		conn, err := n.dialer.DialContext(ctx, "tcp", t.Address)
		if err != nil {
			return classify(err)
		}
		// It was accepted: that is all that counts. A reset instead of this close would
		// spare a socket in TIME_WAIT here, but many servers log it as an error.
		_ = conn.Close()
		return passed
	}
	return n.get(ctx, t)
}

func (n *network) get(ctx context.Context, t Target) result {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Address+"/"+strings.TrimPrefix(t.Path, "/"), nil)
	if err != nil {
		return failed
	}
	req.Header.Set("User-Agent", "kongdao-health")
	transport := n.transport
	if t.HTTP2 {
		transport = n.h2
	}
	resp, err := transport.RoundTrip(req) // no client: a redirect is not a 200
	if err != nil {
		return classify(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
		return classify(err)
	}
	if resp.StatusCode != http.StatusOK {
		return failed
	}
	return passed
}

func classify(err error) result {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return timeout
	default:
		return failed
	}
}
