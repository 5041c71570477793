package xds

import (
	"net/netip"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/translate"
)

// What gateways do about clients' certificates.
const (
	ClientCertsNone    = "none"    // they are not asked for
	ClientCertsRequest = "request" // they are asked for; one that is shown must be good
	ClientCertsRequire = "require" // without a good one there is no connection
)

// What the entrance without TLS does beside one with it.
const (
	PlainServe    = "serve"    // the same: both admit their part of every limit
	PlainRedirect = "redirect" // it sends everybody to the one with TLS
)

// TLS is the gateways' entrance with TLS. The zero value is none.
type TLS struct {
	// Gateway is where gateways take calls by TLS, IP:port; empty: nowhere.
	Gateway string
	// MinVersion is the oldest version that clients may speak, "1.2" or "1.3".
	MinVersion string
	// Slots is how many Certificates there can be, one more for the default one.
	// Gateways hold a place for each from the start.
	Slots int
	// ClientCerts is ClientCertsNone, ClientCertsRequest or ClientCertsRequire.
	ClientCerts string
	// ClientCA is a file of certificates, PEM, that sign those of clients. It is
	// read again and again.
	ClientCA string
	// HSTS is how long browsers shall come with TLS only; 0: they are not told.
	HSTS           api.Duration
	HSTSSubdomains bool
	// Plain is PlainServe or PlainRedirect.
	Plain string
	// PublicPort is where clients reach the entrance with TLS, for redirects; 0:
	// where it listens.
	PublicPort int
	// Share is the part of every limit, in percent, that this entrance admits while
	// both serve, 1 to 99. Each has buckets of its own.
	Share int
}

// DefaultTLS is an entrance with everything but its address.
func DefaultTLS() TLS {
	return TLS{MinVersion: "1.2", Slots: 32, ClientCerts: ClientCertsNone, Plain: PlainServe, Share: 50}
}

const maxSlots = 256

func (c TLS) validate(bad func(field, format string, args ...any)) {
	if c.Gateway == "" {
		return
	}
	if at, err := netip.ParseAddrPort(c.Gateway); err != nil || at.Port() == 0 {
		bad("tls.gateway", "%q is not an IP address with a port above 0", c.Gateway)
	}
	oneOf := func(field, value string, allowed ...string) {
		for _, a := range allowed {
			if a == value {
				return
			}
		}
		bad(field, "%q is none of %q", value, allowed)
	}
	oneOf("tls.minVersion", c.MinVersion, "1.2", "1.3")
	oneOf("tls.clientCerts", c.ClientCerts, ClientCertsNone, ClientCertsRequest, ClientCertsRequire)
	oneOf("tls.plain", c.Plain, PlainServe, PlainRedirect)
	if (c.ClientCA == "") != (c.ClientCerts == ClientCertsNone) {
		bad("tls.clientCA", "goes with clientCerts %s or %s, and these with it", ClientCertsRequest, ClientCertsRequire)
	}
	if c.Slots < 1 || c.Slots > maxSlots {
		bad("tls.slots", "%d is not between 1 and %d", c.Slots, maxSlots)
	}
	if c.PublicPort < 0 || c.PublicPort > 65535 {
		bad("tls.publicPort", "%d is no port", c.PublicPort)
	}
	if c.Share < 1 || c.Share > 99 {
		bad("tls.share", "%d is not between 1 and 99", c.Share)
	}
	if c.HSTS < 0 || c.HSTS.Std()%time.Second != 0 {
		bad("tls.hsts", "%v is not a number of seconds", c.HSTS)
	}
}

// slots are those that gateways hold: the first one is the default certificate's.
func (c TLS) slots() int { return c.Slots + 1 }

func (c TLS) translation() *translate.TLS {
	if c.Gateway == "" {
		return nil
	}
	at := netip.MustParseAddrPort(c.Gateway)
	return &translate.TLS{
		Address: at.Addr().String(), Port: uint32(at.Port()), MinVersion: c.MinVersion, Slots: c.slots(),
		ClientCerts: c.ClientCerts != ClientCertsNone, RequireClient: c.ClientCerts == ClientCertsRequire,
		HSTS: c.HSTS.Std(), HSTSAll: c.HSTSSubdomains,
		Redirect: c.Plain == PlainRedirect, PublicPort: uint32(c.PublicPort), Share: uint32(c.Share),
	}
}
