package completeness

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Poll reads the counters of a gateway on this machine. An error means that it
// does not run.
type Poll func(context.Context) (Sample, error)

// FromAdmin asks the administration of an Envoy, host:port, for the requests of
// the connection manager with this stat_prefix. The Sample names no gateway.
func FromAdmin(admin, statPrefix string) Poll {
	prefix := "http." + statPrefix + ".downstream_rq_"
	const dropped, uptime = "access_logs.grpc_access_log.logs_dropped", "server.uptime"
	filter := "^(" + regexp.QuoteMeta(prefix) + "(total|active)|" + regexp.QuoteMeta(dropped) + "|" + regexp.QuoteMeta(uptime) + ")$"
	address := "http://" + admin + "/stats?filter=" + url.QueryEscape(filter)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) (s Sample, err error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return s, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return s, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return s, fmt.Errorf("%s: %s", req.URL, resp.Status)
		}
		lines := bufio.NewScanner(io.LimitReader(resp.Body, 1<<20))
		for lines.Scan() {
			name, text, _ := strings.Cut(lines.Text(), ": ")
			value, _ := strconv.ParseUint(text, 10, 64) // what is no number is not of these
			switch name {
			case prefix + "total":
				s.Total = value
			case prefix + "active":
				s.Active = value
			case dropped:
				s.Dropped = value
			case uptime:
				s.Uptime = time.Duration(min(value, 1<<30)) * time.Second
			}
		}
		return s, lines.Err()
	}
}
