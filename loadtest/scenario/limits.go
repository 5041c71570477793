package scenario

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Limits is what a load test may do. The zero value allows nothing;
// [DefaultLimits] allows this machine alone.
type Limits struct {
	Hosts       []string      // besides loopback: host, host:port, or a CIDR such as 10.1.0.0/16 for numeric addresses
	MaxRate     float64       // requests a second at any moment
	MaxTotal    uint64        // requests in a run
	MaxDuration time.Duration // of a run
	MaxInFlight int           // requests at the same time, which is the number of workers
	MaxBytes    uint64        // bytes received and sent in a run, headers included; 0: [DefaultMaxBytes]
	MaxBody     int           // bytes of a request's body, or of a websocket's message; 0: 16 MiB
}

// DefaultMaxBytes is 100 GiB: the highest rate for an hour with 1.4 KiB a request.
const DefaultMaxBytes uint64 = 100 << 30

// Bytes is MaxBytes, or its default.
func (l Limits) Bytes() uint64 {
	if l.MaxBytes == 0 {
		return DefaultMaxBytes
	}
	return l.MaxBytes
}

func (l Limits) maxBody() int {
	if l.MaxBody <= 0 {
		return 16 << 20
	}
	return l.MaxBody
}

// DefaultLimits is loopback only, 20,000/s, 20 million requests, 100 GiB, one hour,
// 1,024 in flight: enough for a test from one machine, too little for a typing error to
// become an attack.
func DefaultLimits() Limits {
	return Limits{MaxRate: 20_000, MaxTotal: 20_000_000, MaxDuration: time.Hour, MaxInFlight: 1024, MaxBytes: DefaultMaxBytes}
}

// Validate reports every field that is wrong.
func (l Limits) Validate() error {
	var errs []error
	for i, h := range l.Hosts {
		if strings.Contains(h, "/") {
			if _, err := netip.ParsePrefix(h); err != nil {
				errs = append(errs, fmt.Errorf("hosts[%d]: %q is neither a host nor a CIDR", i, h))
			}
			continue
		}
		if h == "" || strings.Contains(h, "*") {
			errs = append(errs, fmt.Errorf("hosts[%d]: %q must name one host: there are no wildcards", i, h))
		}
	}
	if l.MaxRate <= 0 {
		errs = append(errs, errors.New("maxRate: must be above 0"))
	}
	if l.MaxTotal == 0 {
		errs = append(errs, errors.New("maxTotal: must be above 0"))
	}
	if l.MaxDuration <= 0 {
		errs = append(errs, errors.New("maxDuration: must be above 0"))
	}
	if l.MaxInFlight <= 0 {
		errs = append(errs, errors.New("maxInFlight: must be above 0"))
	}
	return errors.Join(errs...)
}

// Allows says whether hostport, "host" or "host:port", may be attacked.
func (l Limits) Allows(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip, numeric := netip.ParseAddr(host)
	if host == "localhost" || (numeric == nil && ip.Unmap().IsLoopback()) {
		return true
	}
	for _, allowed := range l.Hosts {
		prefix, err := netip.ParsePrefix(allowed)
		if err == nil && numeric == nil && prefix.Contains(ip.Unmap()) {
			return true
		}
		if strings.EqualFold(allowed, host) || strings.EqualFold(allowed, hostport) {
			return true
		}
	}
	return false
}
