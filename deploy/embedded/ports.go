package embedded

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// port is an address that the engine listens on. The engine cannot be handed a
// listening socket, so between two lives, and for a moment at the start, the port
// belongs to nobody and can be lost to another process.
type port struct {
	addr     string
	fixed    bool         // the user chose it
	reserved net.Listener // keeps it between New and Run, else nil
}

// reserve takes an address of the configuration.
func reserve(field, addr string) (port, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return port{}, fmt.Errorf("%s: %w", field, err)
	}
	_, number, err := net.SplitHostPort(addr)
	return port{addr: l.Addr().String(), fixed: number != "0", reserved: l}, err
}

func (p *port) release() error {
	if p.reserved == nil {
		return nil
	}
	err := p.reserved.Close()
	p.reserved = nil
	return err
}

// free makes sure that the engine can have the port: the same one whenever that is
// possible, so that clients just reconnect.
func (p *port) free() (moved bool, err error) {
	if p.reserved != nil {
		return false, p.release()
	}
	l, err := net.Listen("tcp", p.addr)
	if err == nil {
		return false, l.Close()
	}
	if p.fixed || !errors.Is(err, syscall.EADDRINUSE) {
		return false, err
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
		return false, err
	}
	p.addr = l.Addr().String()
	return true, l.Close()
}

// number is the port without the host.
func (p *port) number() string {
	_, number, _ := net.SplitHostPort(p.addr) // made by net itself
	return number
}
