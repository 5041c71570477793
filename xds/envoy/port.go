package envoy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrPortInUse means that somebody else listens there.
var ErrPortInUse = errors.New("port in use")

// Free ports are sought below 32768, where Linux begins to number the local ends
// of outgoing connections: a port from there can be taken by any client's
// connection at any time.
const (
	lowestPort  = 20_000
	highestPort = 32_767
	portTries   = 200
)

// port holds a TCP port for an Envoy that comes, goes and comes again.
//
// Envoy listens with SO_REUSEPORT, so two Envoys would share a port silently, and
// a port that nobody holds between a crash and the restart can be lost. The
// holder is a bound socket that does not listen: connections are refused until
// Envoy listens beside it, and everybody who wants the port alone is told that it
// is in use.
type port struct {
	fd   int
	addr string
}

// holdPort takes addr, or any free port of its host when the port is 0.
func holdPort(addr string) (*port, error) {
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", addr, err)
	}
	if want.Port != 0 {
		return holdExactly(want)
	}
	for range portTries {
		want.Port = lowestPort + rand.IntN(highestPort-lowestPort+1)
		p, err := holdExactly(want)
		if err == nil || !errors.Is(err, ErrPortInUse) {
			return p, err
		}
	}
	return nil, fmt.Errorf("%w: none of %d tried on %s is free", ErrPortInUse, portTries, want.IP)
}

func holdExactly(want *net.TCPAddr) (*port, error) {
	family, sa := sockaddr(want)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hold %s: %w", want, err)
	}
	if err := hold(fd, sa); err != nil {
		unix.Close(fd) // the first error matters
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("%w: %s", ErrPortInUse, want)
		}
		return nil, fmt.Errorf("hold %s: %w", want, err)
	}
	return &port{fd: fd, addr: want.String()}, nil
}

// hold proves that nobody else has the port by really listening on it, without
// SO_REUSEPORT, and turns the socket into a holder without letting go between.
// SO_REUSEADDR at bind accepts connections of a former gateway in TIME_WAIT; off
// afterwards, it makes every other listener fail.
func hold(fd int, sa unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return err
	}
	if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil { // stops listening, stays bound
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

func sockaddr(a *net.TCPAddr) (family int, sa unix.Sockaddr) {
	if ip4 := a.IP.To4(); ip4 != nil || a.IP == nil {
		sa4 := &unix.SockaddrInet4{Port: a.Port}
		copy(sa4.Addr[:], ip4)
		return unix.AF_INET, sa4
	}
	sa6 := &unix.SockaddrInet6{Port: a.Port}
	copy(sa6.Addr[:], a.IP.To16())
	return unix.AF_INET6, sa6
}

func (p *port) close() error { return unix.Close(p.fd) }

// HoldPort finds a port of host like [FreePort] and holds it until release: an Envoy
// can listen on it, if its admin interface has [BesideHolder] among its options, and
// everybody else is told that it is in use.
func HoldPort(host string) (addr string, release func() error, err error) {
	p, err := holdPort(net.JoinHostPort(host, "0"))
	if err != nil {
		return "", nil, err
	}
	return p.addr, p.close, nil
}

// FreePort finds a port of host that nobody listens on, outside the range of
// outgoing connections. It holds nothing: another process may take the port
// before the caller does, so a caller that can should try again.
func FreePort(host string) (int, error) {
	p, err := holdPort(net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	if err := p.close(); err != nil {
		return 0, err
	}
	_, text, err := net.SplitHostPort(p.addr)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
