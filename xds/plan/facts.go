package plan

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
)

// Lengths at which call records are cut, in bytes.
const (
	longestPath   = 4096
	longestHeader = 256
	longestAgent  = 512
)

// facts are a call with what its record says of the request.
type facts struct {
	*calllog.Call
	request explain.Request // as far as it is known
	path    string          // that gateways look routes up by; empty: they refuse it
	client  netip.Prefix    // where it came from, as far as it is known
	doubt   string          // what keeps everybody from telling anything; empty: nothing
	several map[string][][]string
}

// factsOf reads a record; ok is false for one that is of no HTTP request.
func (p *Replay) factsOf(c *calllog.Call) (f facts, ok bool) {
	if c.Attrs[calllog.AttrMalformed] != "" || c.Attrs[calllog.AttrProtocol] == calllog.ProtocolTCP || c.Method == "" {
		return f, false
	}
	f = facts{Call: c, client: everywhere}
	f.request = explain.Request{Method: c.Method, Host: c.Host, Path: c.Path, Headers: http.Header{}, From: p.options.From}
	if c.Method == calllog.OtherMethod && c.Attrs[calllog.AttrMethod] != "" {
		f.request.Method = c.Attrs[calllog.AttrMethod]
	}
	f.path, _ = explain.Normalize(c.Path)
	if len(c.Path) >= longestPath || len(c.Host) >= longestHeader || c.Path == "" {
		f.doubt = "the whole path and host"
	}
	if strings.Contains(c.Path+c.Host, "\uFFFD") {
		f.doubt = "the bytes of the path, which are no text"
	}
	if c.Route == "" && c.Status == http.StatusPermanentRedirect && p.old.TLS != nil && p.old.TLS.Redirect {
		f.request.Scheme = "http"
	}
	if client, err := netip.ParseAddr(c.ClientIP); err == nil {
		f.client = p.options.known(client.Unmap())
		f.request.Client = client
	}
	f.headers(p)
	return f, true
}

// own tells that the gateway answered the call itself.
func (f *facts) own() bool { return f.Attempts == 0 && f.Pod == "" }

// mayBeGRPC tells that the status may be none of HTTP: gateways answer gRPC with 200,
// whatever they mean.
func (f *facts) mayBeGRPC() bool { return f.own() && f.Status == http.StatusOK }

// mayUpgrade tells that the call may have asked for another protocol and not have got
// it: those get 403.
func (f *facts) mayUpgrade() bool { return f.own() && f.Status == http.StatusForbidden }

// headers fills in those that the record holds.
func (f *facts) headers(p *Replay) {
	h := f.request.Headers
	if f.UserAgent != "" && len(f.UserAgent) < longestAgent {
		h.Set("User-Agent", f.UserAgent)
	}
	if f.LoadTest != "" {
		h.Set(model.LoadTestHeader, f.LoadTest)
	}
	if f.Status == http.StatusSwitchingProtocols || p.websockets[f.Route] && !f.mayUpgrade() {
		handshake(&f.request)
	}
	for name := range p.kept {
		value := f.Attrs[name]
		switch lines := strings.Split(value, ","); {
		case value == "":
		case len(lines) > 1: // one line with commas, or several lines
			if f.several == nil {
				f.several = map[string][][]string{}
			}
			f.several[name] = [][]string{{value}, lines}
		default:
			h.Set(name, value)
		}
	}
}

// handshake makes a request one for a websocket.
func handshake(r *explain.Request) {
	r.Headers.Set("Connection", "Upgrade")
	r.Headers.Set("Upgrade", "websocket")
	r.Headers.Set(model.WebsocketHeader, model.WebsocketVersion)
}

// knows tells whether the record says what a header of the request was, or that
// there was none.
func (f *facts) knows(p *Replay, header string) bool {
	switch header {
	case "host", model.LoadTestHeader, "upgrade", "connection", model.WebsocketHeader:
		return true
	case "user-agent":
		return len(f.UserAgent) < longestAgent && !masked(f.UserAgent)
	}
	value := f.Attrs[header]
	return p.kept[header] && len(value) < longestHeader && !masked(value)
}

// masked tells whether the collector hid something of a text.
func masked(text string) bool {
	return strings.Contains(text, "***") || strings.Contains(text, "[") && strings.Contains(text, "]")
}

var everywhere = netip.Prefix{}

// known is the network that a stored address stands for.
func (o Options) known(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is4() && o.IPv4Bits > 0 {
		bits = o.IPv4Bits
	} else if a.Is6() && o.IPv6Bits > 0 {
		bits = o.IPv6Bits
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return everywhere
	}
	return p
}
