package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kongdao/kongdao/alerting/forward"
	"github.com/kongdao/kongdao/api"
)

// wrong is one field that cannot stay as it is.
type wrong struct{ field, message string }

// Validate names every field that is wrong, and what would be right.
func (c Config) Validate() error {
	var errs []error
	for _, w := range c.wrongs() {
		errs = append(errs, fmt.Errorf("%s: %s", w.field, w.message))
	}
	return errors.Join(errs...)
}

// check collects what is wrong.
type check struct{ found []wrong }

func (k *check) add(field, format string, args ...any) {
	k.found = append(k.found, wrong{field, fmt.Sprintf(format, args...)})
}

func (c Config) wrongs() []wrong {
	var k check
	if c.DataDir == "" {
		k.add("dataDir", "is empty, want a folder such as data")
	}
	if c.ResourcesDir == "" {
		k.add("resourcesDir", "is empty, want a folder such as resources")
	}
	k.listen(c.Listen)
	k.clickhouse(c.ClickHouse)
	k.gateway(c)
	k.mutual(c)
	k.sharing(c.XDS)
	k.envoy(c.Envoy)
	k.collector(c.Collector)
	k.access(c.Access)
	k.alerting(c.Alerting)
	k.alertRules(c)
	k.loadTest(c.LoadTest)
	k.capacity(c.Capacity)
	k.practice(c.Practice)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	k.readers(c.Readers)
	k.readersHere(c)
	k.tenants(c.Tenants)
	return k.found
}

// addresses are the fields of l in their order; private ones must be on loopback.
func (l Listen) addresses() []struct {
	field, address string
	private        bool
} {
	return []struct {
		field, address string
		private        bool
	}{
		{"listen.gateway", l.Gateway, false},
		{"listen.gatewayTLS", l.GatewayTLS, false},
		{"listen.gatewayAdmin", l.GatewayAdmin, true},
		{"listen.xds", l.XDS, false},
		{"listen.als", l.ALS, false},
		{"listen.otlpGRPC", l.OTLPGRPC, false},
		{"listen.otlpHTTP", l.OTLPHTTP, false},
		{"listen.clickhouse", l.ClickHouse, true},
		{"listen.clickhouseHTTP", l.ClickHouseHTTP, true},
		{"listen.api", l.API, false},
		{"listen.metrics", l.Metrics, false},
		{"listen.alertmanager", l.Alertmanager, false},
		{"listen.prometheus", l.Prometheus, false},
		{"listen.links", l.Links, false},
	}
}

func (k *check) listen(l Listen) {
	taken := map[string]string{}
	for _, a := range l.addresses() {
		ip, port, ok := hostPort(a.address)
		switch {
		case a.address == "" && (a.field == "listen.gatewayTLS" || a.field == "listen.links"): // there is none
		case !ok:
			k.add(a.field, "is %q, want an IP address and port such as 127.0.0.1:9000, port 0 for any free one", a.address)
		case a.private && !ip.IsLoopback():
			k.add(a.field, "is %q, want a loopback address such as 127.0.0.1:%d: others must not reach it", a.address, port)
		case port != 0 && taken[a.address] != "":
			k.add(a.field, "is %q, which is %s already: want a port of its own", a.address, taken[a.address])
		default:
			taken[a.address] = a.field
		}
	}
}

func hostPort(address string) (netip.Addr, uint16, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.Addr{}, 0, false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	n, errPort := strconv.ParseUint(port, 10, 16)
	return ip, uint16(n), err == nil && errPort == nil
}

// clickhouse never shows the DSN: it may hold a password.
func (k *check) clickhouse(c ClickHouse) {
	k.storage(c)
	const want = "want clickhouse://user:${env:PASSWORD}@host:9000/database, or empty for the embedded engine"
	if c.DSN == "" {
		return
	}
	refs, err := c.DSN.Refs()
	if err != nil {
		k.add("clickhouse.dsn", "%s", err)
		return
	}
	text := c.DSN.Reveal()
	if c.DSN.IsRef() {
		return
	}
	for _, ref := range refs {
		text = strings.Replace(text, ref, "x", 1)
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "clickhouse" && u.Scheme != "tcp") || u.Host == "" {
		k.add("clickhouse.dsn", "is no address of ClickHouse, %s", want)
	}
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// groupName is what names of resources look like.
var groupName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (k *check) envoy(e Envoy) {
	if e.Concurrency < 0 || e.Concurrency > 256 {
		k.add("envoy.concurrency", "is %d, want a whole number from 0 to 256", e.Concurrency)
	}
	if !nodeName.MatchString(e.Node) {
		k.add("envoy.node", "is %q, want a name such as gateway-1", e.Node)
	}
	if !groupName.MatchString(e.Group) {
		k.add("envoy.group", "is %q, want the name of a GatewayGroup, or default", e.Group)
	}
	if e.Zone != "" && !nodeName.MatchString(e.Zone) {
		k.add("envoy.zone", "is %q, want the name of a zone such as zb-a", e.Zone)
	}
}

func (k *check) collector(c Collector) {
	k.oneOf("collector.source", c.Source, "file", "als") // both at once would count each call twice
	k.between("collector.flushInterval", c.FlushInterval, time.Millisecond, time.Minute)
	if c.MaxRows < 1 || c.MaxRows > 200_000 {
		k.add("collector.maxRows", "is %d, want a whole number from 1 to 200000", c.MaxRows)
	}
	if c.WALBytes < 1<<20 {
		k.add("collector.walBytes", "is %d, want a number of bytes, at least 1048576", c.WALBytes)
	}
	k.headers(c.Headers)
	k.privacy(c)
	k.collectorFiles(c)
}

func (k *check) alerting(a Alerting) {
	k.between("alerting.scrapeInterval", a.ScrapeInterval, 100*time.Millisecond, 10*time.Minute)
	k.between("alerting.evaluationInterval", a.EvaluationInterval, 100*time.Millisecond, 10*time.Minute)
	k.between("alerting.retention", a.Retention, 10*time.Minute, 365*24*time.Hour)
	k.address("alerting.externalURL", a.ExternalURL, "https://alerts.example.com")
	k.address("alerting.linkBase", a.LinkBase, "https://wiki.example.com/kongdao")
	k.escalation(a.Escalation)
	if _, err := time.LoadLocation(a.TimeZone); err != nil {
		k.add("alerting.timeZone", "is %q, want a name such as Asia/Shanghai", a.TimeZone)
	}
	k.address("alerting.grafanaURL", a.GrafanaURL, "https://grafana.example.com")
	k.address("alerting.linksURL", a.LinksURL, "https://alerts.example.com")
	if a.LinksKey != "" && !a.LinksKey.IsRef() {
		k.add("alerting.linksKey", "holds a secret as plain text or a malformed reference, want ${env:NAME} or ${file:path}")
	}
	if a.Lang != "zh" && a.Lang != "en" {
		k.add("alerting.lang", "is %q, want zh or en", a.Lang)
	}
	if m := a.Messages; m != "markdown" && m != "text" && m != "actionCard" {
		k.add("alerting.messages", "is %q, want markdown, text or actionCard", m)
	}
	k.alertingCluster(a.Cluster)
	for i, to := range a.ForwardTo {
		if err := (forward.Config{URLs: []string{to}}).Validate(); err != nil { // without the address: it may hold a password
			k.add(fmt.Sprintf("alerting.forwardTo[%d]", i), "%s", strings.TrimPrefix(err.Error(), "forwardTo[0]: "))
		}
	}
	for i, target := range a.Targets {
		host, port, err := net.SplitHostPort(target)
		if n, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil || n == 0 || host == "" {
			k.add(fmt.Sprintf("alerting.targets[%d]", i), "is %q, want host:port such as 127.0.0.1:9100", target)
		}
	}
}

// address checks a URL that may be empty.
func (k *check) address(field, value, example string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		k.add(field, "is %q, want an address such as %s", value, example)
	}
}

func (k *check) loadTest(l LoadTest) {
	for i, host := range l.Allow {
		if host == "" || (strings.ContainsAny(host, "/ *[]") || strings.Contains(host, ":") && net.ParseIP(host) == nil) {
			k.add(fmt.Sprintf("loadtest.allow[%d]", i), "is %q, want a host such as 127.0.0.1 or staging.example.com, without scheme and port", host)
		}
	}
	if !(l.MaxRate > 0) {
		k.add("loadtest.maxRate", "is %v, want requests a second above 0", l.MaxRate)
	}
	k.between("loadtest.maxDuration", l.MaxDuration, time.Second, 24*time.Hour)
	k.oneOf("loadtest.marks", l.Marks, MarksAny, MarksSigned)
	if l.MaxBytes <= 0 {
		k.add("loadtest.maxBytes", "is %s, want a size above 0, such as 100GiB", l.MaxBytes)
	}
	if l.KeepDays < 1 || l.KeepDays > 3650 {
		k.add("loadtest.keepDays", "is %d, want a whole number from 1 to 3650", l.KeepDays)
	}
}

func (k *check) between(field string, d api.Duration, least, most time.Duration) {
	if d.Std() < least || d.Std() > most {
		k.add(field, "is %s, want a duration from %s to %s", d, api.Duration(least), api.Duration(most))
	}
}

func (k *check) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.add(field, "is %q, want %s or %s", value, strings.Join(allowed[:len(allowed)-1], ", "), allowed[len(allowed)-1])
	}
}
