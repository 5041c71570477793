package dashboards

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Link is the address of the dashboard about a function, or about the gateway when
// function is empty, on a Grafana at base that the dashboards were imported into.
// An empty zone is all zones.
func Link(base, function, zone string, from, to time.Time) string {
	uid, q := overviewUID, url.Values{}
	if function != "" {
		uid = functionUID
		q.Set("var-function", function)
	}
	if zone != "" {
		q.Set("var-zone", zone)
	}
	q.Set("from", strconv.FormatInt(from.UnixMilli(), 10))
	q.Set("to", strconv.FormatInt(to.UnixMilli(), 10))
	return strings.TrimSuffix(base, "/") + "/d/" + uid + "?" + q.Encode()
}
