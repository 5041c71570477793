package envoy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// admin talks to Envoy's admin port. Connections are not kept: Envoy comes and
// goes behind the address.
type admin struct {
	addr   string
	client *http.Client
}

func newAdmin(addr string) admin {
	return admin{addr: addr, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// call sends one request; the caller closes the body. Any status but 200 is an
// error.
func (a admin) call(ctx context.Context, method, pathAndQuery string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.addr+pathAndQuery, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only to say why
	return nil, fmt.Errorf("envoy admin %s %s: %s: %s", method, pathAndQuery, resp.Status, strings.TrimSpace(string(text)))
}

func (a admin) do(ctx context.Context, method, pathAndQuery string) error {
	body, err := a.call(ctx, method, pathAndQuery)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// live says whether Envoy is initialised and listens on these addresses; empty ones
// are left out.
func (a admin) live(ctx context.Context, addrs ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := a.do(ctx, http.MethodGet, "/ready"); err != nil {
		return err
	}
	for _, addr := range addrs {
		if addr == "" {
			continue
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Stats reads the counters and gauges whose names match filter, a regular
// expression; empty means all. Histograms are left out. Only the statistics that
// the bootstrap keeps exist.
func (g *Gateway) Stats(ctx context.Context, filter string) (map[string]float64, error) {
	return g.admin().stats(ctx, filter)
}

func (a admin) stats(ctx context.Context, filter string) (map[string]float64, error) {
	body, err := a.call(ctx, http.MethodGet, "/stats?filter="+url.QueryEscape(filter))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	stats := map[string]float64{}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), ": ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			stats[name] = value
		}
	}
	return stats, lines.Err()
}

// ReopenLogs makes Envoy open its access log files anew, after they were renamed.
func (g *Gateway) ReopenLogs(ctx context.Context) error {
	return g.admin().do(ctx, http.MethodPost, "/reopen_logs")
}

// Ready waits until Envoy has its configuration and the gateway's port accepts
// connections. When ctx ends first, the error says what was missing.
func (g *Gateway) Ready(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := g.admin().live(ctx, g.Addr(), g.cfg.TLSAddr)
		if err == nil {
			g.lived.Store(true)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("envoy is not ready: %w", err), ctx.Err())
		}
	}
}

// drain stops listening and waits, at most for limit, until no call is in flight.
func (g *Gateway) drain(limit time.Duration) {
	if limit == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := g.admin().do(ctx, http.MethodPost, "/drain_listeners"); err != nil {
		return // it is gone or hangs: nothing to wait for
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		stats, err := g.Stats(ctx, `^http\..*\.downstream_rq_active$`)
		if err != nil || idle(stats) {
			return
		}
		<-tick.C
	}
}

// idle leaves the admin port's own request out.
func idle(stats map[string]float64) bool {
	for name, active := range stats {
		if active > 0 && !strings.HasPrefix(name, "http.admin.") {
			return false
		}
	}
	return true
}
