package xds

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/canary"
)

// Config is what a user may set of the control plane.
type Config struct {
	// Listen is where gateways get their configuration (gRPC), host:port; port 0 picks one.
	Listen string `yaml:"listen"`
	// Gateway is where gateways take calls, IP:port. The port must be known to
	// them, so 0 is not possible.
	Gateway string `yaml:"gateway"`
	// Mutual says how the control plane and gateways know each other.
	Mutual Mutual `yaml:"-"`
	// TLS is where gateways take calls by TLS, and how.
	TLS TLS `yaml:"-"`
	// AccessLog is the file that gateways write a line a call to; empty: none.
	AccessLog string `yaml:"accessLog"`
	// AccessLogFormat is Envoy's format string of a line, with its newline; empty:
	// Envoy's own format.
	AccessLogFormat string `yaml:"-"`
	// ALS also sends calls to the access log service, the static cluster "als" of
	// the gateways' bootstrap.
	ALS bool `yaml:"als"`
	// ALSHeaders are the request headers that the service gets.
	ALSHeaders []string `yaml:"-"`
	// TrustedHops is how many proxies stand in front of the gateways. The client's
	// address is taken from x-forwarded-for that far from its end. 0: none, it is the
	// address that connects.
	TrustedHops uint32 `yaml:"trustedHops"`
	// TrustedProxies are the networks of those proxies. For the lists of functions,
	// x-forwarded-for of others is not believed. Empty: of all that connect.
	TrustedProxies []string `yaml:"trustedProxies"`
	// SignatureWindow is how far the timestamp of a signed request may be off.
	SignatureWindow api.Duration `yaml:"signatureWindow"`
	// TrustedCA is a file on the gateways' machines with the authorities that sign
	// for issuers and authorizers which are called over TLS.
	TrustedCA string `yaml:"trustedCA"`
	// Shards is how many parts the routes of exact hosts are spread over. A change
	// costs what one part costs; changing the number reloads all routes once.
	Shards int `yaml:"shards"`
	// MarkHeader is the request header that a stress test's mark is believed with, and
	// without which it is taken away; empty: everybody's is believed. Its name is a
	// secret.
	MarkHeader string `yaml:"-"`
	// Gateways is how many gateways share every limit at least. When more are
	// connected their number counts.
	Gateways int `yaml:"gateways"`
	// ShareByLoad gives gateways that are short of their part of a function's limit
	// what others do not need of it. Without it each always has an even part.
	ShareByLoad bool `yaml:"shareByLoad"`
	// Proxyless also serves gRPC clients that call pods themselves, with functions that
	// lose nothing by it; see package proxyless.
	Proxyless bool `yaml:"proxyless"`
	// FirstReadiness is how long the first update waits for the readiness of every
	// pod to be known. Without it a restarted control plane would begin by taking
	// all limits down to one pod. 0: it does not wait.
	FirstReadiness api.Duration `yaml:"firstReadiness"`
	// GatewayGrace is how long a gateway that left still counts, so that one that
	// lost its connection, and still admits its part, does not make the others
	// admit it too.
	GatewayGrace api.Duration `yaml:"gatewayGrace"`
	// RemovedClusterGrace is how long a revision that is gone stays at the
	// gateways, so that no request in flight points at nothing.
	RemovedClusterGrace api.Duration `yaml:"removedClusterGrace"`
	// WarmTimeout bounds how long routes wait for new revisions to have checked
	// their pods at every gateway. 0: they do not wait, and the first requests may
	// fail.
	WarmTimeout api.Duration `yaml:"warmTimeout"`
	// SilenceThreshold is how long a gateway may leave an update unanswered before
	// it counts as silent, which is a fault: Envoy can stop taking updates without
	// ever refusing one. Each resource of the update adds 5 ms, so that a whole
	// configuration may take its time.
	SilenceThreshold api.Duration `yaml:"silenceThreshold"`
	// Canary is the Envoy that changes are tried on before gateways get them; without
	// a Dir there is none.
	Canary canary.Config `yaml:"canary"`
}

// DefaultConfig listens on loopback, gateways on port 9000.
func DefaultConfig() Config {
	return Config{
		Listen:              "127.0.0.1:0",
		Gateway:             "127.0.0.1:9000",
		TLS:                 DefaultTLS(),
		SignatureWindow:     api.Duration(5 * time.Minute),
		TrustedCA:           "/etc/ssl/certs/ca-certificates.crt",
		Shards:              256,
		Gateways:            1,
		ShareByLoad:         true,
		FirstReadiness:      api.Duration(time.Second),
		GatewayGrace:        api.Duration(30 * time.Second),
		RemovedClusterGrace: api.Duration(15 * time.Second),
		WarmTimeout:         api.Duration(2 * time.Second),
		SilenceThreshold:    api.Duration(10 * time.Second),
		Canary:              canary.DefaultConfig(),
	}
}

// Validate returns all problems, each naming its field.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if c.Listen == "" {
		bad("listen", "is empty, want host:port")
	}
	if at, err := netip.ParseAddrPort(c.Gateway); err != nil || at.Port() == 0 {
		bad("gateway", "%q is not an IP address with a port above 0", c.Gateway)
	}
	c.TLS.validate(bad)
	for i, text := range c.TrustedProxies {
		if _, err := api.ParseNetwork(text); err != nil {
			bad(fmt.Sprintf("trustedProxies[%d]", i), "%q is not a network such as 10.0.0.0/8", text)
		}
	}
	if c.SignatureWindow < api.Duration(time.Second) || c.SignatureWindow > api.Duration(time.Hour) {
		bad("signatureWindow", "%v is not between 1s and 1h", c.SignatureWindow)
	}
	if c.TrustedCA == "" {
		bad("trustedCA", "is empty, want a file")
	}
	c.Mutual.validate(c.Listen, bad)
	if c.MarkHeader != "" && (len(c.MarkHeader) < 20 || !strings.HasPrefix(c.MarkHeader, "x-") || strings.ToLower(c.MarkHeader) != c.MarkHeader) {
		bad("markHeader", "is no long name in lower case that begins with x-")
	}
	if c.Shards < 1 || c.Shards > 4096 {
		bad("shards", "%d is not between 1 and 4096", c.Shards)
	}
	if c.Gateways < 1 {
		bad("gateways", "%d is below 1", c.Gateways)
	}
	for field, d := range map[string]api.Duration{
		"firstReadiness":      c.FirstReadiness,
		"gatewayGrace":        c.GatewayGrace,
		"removedClusterGrace": c.RemovedClusterGrace, "warmTimeout": c.WarmTimeout, "silenceThreshold": c.SilenceThreshold,
	} {
		if d < 0 {
			bad(field, "%v is negative", d)
		}
	}
	if c.Canary.Dir != "" {
		if err := c.Canary.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("canary: %w", err))
		}
	}
	return errors.Join(errs...)
}

// silencePerResource is ten times what Envoy takes for a cluster, the dearest
// resource, on an idle machine.
const silencePerResource = 5 * time.Millisecond

// silenceAllowed is how long an update of so many resources may be unanswered.
func (c Config) silenceAllowed(resources int) time.Duration {
	return c.SilenceThreshold.Std() + time.Duration(resources)*silencePerResource
}

// proxies are the networks of a valid configuration.
func (c Config) proxies() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range c.TrustedProxies {
		if p, err := api.ParseNetwork(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}
