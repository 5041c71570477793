package config

import (
	"os"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds"
)

// XDS says how the control plane serves gateways.
type XDS struct {
	TLS         XDSTLS       `yaml:"tls"`
	Gateways    int          `yaml:"gateways" want:"a whole number from 1 to 1000"`      // how many share every limit at least: set it where gateways are split over control planes
	ShareByLoad bool         `yaml:"shareByLoad"`                                        // each gateway admits of a limit what it is asked for; false: all the same
	Grace       api.Duration `yaml:"gatewayGrace" want:"a length of time from 0s to 1h"` // how long a gateway that left keeps its part of limits
	Proxyless   bool         `yaml:"proxyless"`                                          // gRPC clients may get functions from here and call their pods without a gateway
}

// DefaultXDS counts the gateways that are connected.
func DefaultXDS() XDS {
	d := xds.DefaultConfig()
	return XDS{Gateways: d.Gateways, ShareByLoad: d.ShareByLoad, Grace: d.GatewayGrace}
}

// XDSTLS are files, PEM, that are read anew for every connection. Without them
// listen.xds must be on loopback.
type XDSTLS struct {
	Cert     string `yaml:"cert"`     // of the control plane
	Key      string `yaml:"key"`      // its key
	ClientCA string `yaml:"clientCA"` // signs the certificates of gateways, which must name node and group
}

// EnvoyTLS are files, PEM, by which the gateway and a control plane elsewhere know
// each other. They are read again every second.
type EnvoyTLS struct {
	Cert       string `yaml:"cert"`       // of this gateway
	Key        string `yaml:"key"`        // its key
	CA         string `yaml:"ca"`         // signs the certificate of the control plane
	ServerName string `yaml:"serverName"` // what that certificate must be good for; empty: the host of listen.xds
}

// Gateway says how gateways take calls.
type Gateway struct {
	TLS GatewayTLS `yaml:"tls"`
}

// GatewayTLS is the entrance with TLS, listen.gatewayTLS. Certificates are
// resources.
type GatewayTLS struct {
	MinVersion         string       `yaml:"minVersion" want:"\"1.2\" or \"1.3\""`                  // the oldest version that clients may speak
	Certificates       int          `yaml:"certificates" want:"a whole number from 1 to 256"`      // how many there can be; another number restarts the listener
	ClientCertificates string       `yaml:"clientCertificates" want:"none, request or require"`    // request: one that a client shows must be good; require: without one there is no connection
	ClientCA           string       `yaml:"clientCA"`                                              // file of certificates, PEM, that sign those of clients; read again every second
	HSTS               api.Duration `yaml:"hsts"`                                                  // browsers shall come with TLS only, for so long; 0s: they are not told
	HSTSSubdomains     bool         `yaml:"hstsSubdomains"`                                        // to subdomains too
	Plain              string       `yaml:"plain" want:"serve or redirect"`                        // what listen.gateway does: the same, or send everybody here
	PublicPort         int          `yaml:"publicPort" want:"a port, or 0 for that of gatewayTLS"` // where clients reach listen.gatewayTLS, for redirects; 0: its own port
	Share              int          `yaml:"share" want:"percent, 1 to 99"`                         // of every limit, percent, that listen.gatewayTLS admits while both serve
}

// DefaultGateway is what holds once there is a listen.gatewayTLS.
func DefaultGateway() Gateway {
	d := xds.DefaultTLS()
	return Gateway{TLS: GatewayTLS{
		MinVersion: d.MinVersion, Certificates: d.Slots, ClientCertificates: d.ClientCerts, Plain: d.Plain, Share: d.Share,
	}}
}

// Entrance is the entrance with TLS at an address, for the control plane.
func (g GatewayTLS) Entrance(address string) xds.TLS {
	return xds.TLS{
		Gateway: address, MinVersion: g.MinVersion, Slots: g.Certificates, ClientCerts: g.ClientCertificates, ClientCA: g.ClientCA,
		HSTS: g.HSTS, HSTSSubdomains: g.HSTSSubdomains, Plain: g.Plain, PublicPort: g.PublicPort, Share: g.Share,
	}
}

func (k *check) gateway(c Config) {
	g := c.Gateway.TLS
	k.oneOf("gateway.tls.minVersion", g.MinVersion, "1.2", "1.3")
	k.oneOf("gateway.tls.clientCertificates", g.ClientCertificates, xds.ClientCertsNone, xds.ClientCertsRequest, xds.ClientCertsRequire)
	k.oneOf("gateway.tls.plain", g.Plain, xds.PlainServe, xds.PlainRedirect)
	k.within("gateway.tls.certificates", g.Certificates, 1, 256)
	k.within("gateway.tls.share", g.Share, 1, 99)
	k.within("gateway.tls.publicPort", g.PublicPort, 0, 65535)
	const most = 10 * 365 * 24 * time.Hour
	if g.HSTS.Std() > most || g.HSTS.Std()%time.Second != 0 {
		k.add("gateway.tls.hsts", "is %s, want whole seconds, such as 8760h for a year", g.HSTS)
	}
	switch asked := g.ClientCertificates != xds.ClientCertsNone; {
	case asked && g.ClientCA == "":
		k.add("gateway.tls.clientCA", "is empty, want a file of the certificates that sign those of clients")
	case !asked && g.ClientCA != "":
		k.add("gateway.tls.clientCA", "is set, and gateway.tls.clientCertificates is none: want request or require")
	}
	if c.Listen.GatewayTLS == "" {
		k.withoutTLS(g)
		return
	}
	if g.ClientCA != "" {
		if _, err := os.Stat(g.ClientCA); err != nil {
			k.add("gateway.tls.clientCA", "cannot be read: %s", err)
		}
	}
}

// sharing is how gateways share limits.
func (k *check) sharing(x XDS) {
	k.within("xds.gateways", x.Gateways, 1, 1000)
	if x.Grace < 0 || x.Grace.Std() > time.Hour {
		k.add("xds.gatewayGrace", "is %s, want a length of time from 0s to 1h", x.Grace)
	}
}

// mutual wants certificates where others can reach the control plane.
func (k *check) mutual(c Config) {
	t, e := c.XDS.TLS, c.Envoy.TLS
	k.together("xds.tls", [][2]string{{"cert", t.Cert}, {"key", t.Key}, {"clientCA", t.ClientCA}})
	k.together("envoy.tls", [][2]string{{"cert", e.Cert}, {"key", e.Key}, {"ca", e.CA}})
	if e.ServerName != "" && e.Cert == "" {
		k.add("envoy.tls.serverName", "is set, and envoy.tls.cert is not")
	}
	if ip, _, ok := hostPort(c.Listen.XDS); ok && !ip.IsLoopback() && t.Cert == "" && e.Cert == "" {
		k.add("listen.xds", "is %q, which other machines reach: want xds.tls here for the control plane, envoy.tls for a gateway, or a loopback address", c.Listen.XDS)
	}
}

// together wants all of some fields or none.
func (k *check) together(around string, fields [][2]string) {
	given := false
	for _, f := range fields {
		given = given || f[1] != ""
	}
	for _, f := range fields {
		if given && f[1] == "" {
			k.add(around+"."+f[0], "is empty, and others of %s are not: want a file", around)
		}
	}
}

// withoutTLS names what would do nothing, where somebody may rely on it.
func (k *check) withoutTLS(g GatewayTLS) {
	if g.Plain == xds.PlainRedirect {
		k.add("gateway.tls.plain", "is redirect, and listen.gatewayTLS is empty: want an address there")
	}
	if g.ClientCertificates != xds.ClientCertsNone {
		k.add("gateway.tls.clientCertificates", "is %s, and listen.gatewayTLS is empty: want an address there", g.ClientCertificates)
	}
}

func (k *check) within(field string, n, least, most int) {
	if n < least || n > most {
		k.add(field, "is %d, want a whole number from %d to %d", n, least, most)
	}
}
