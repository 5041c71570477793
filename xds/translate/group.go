package translate

import (
	"net/netip"

	"github.com/kongdao/kongdao/xds/model"
)

// at is the configuration with the place where a World's gateways listen.
func (c Config) at(w *model.World) Config {
	if at, err := netip.ParseAddrPort(w.Listen()); err == nil {
		c.Address, c.Port = at.Addr().String(), uint32(at.Port())
		c.TLS = nil // its address is the other groups'
	}
	return c
}
