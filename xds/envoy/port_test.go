package envoy

import (
	"net"
	"testing"
)

func TestFreePortIsOutsideTheRangeOfOutgoingConnections(t *testing.T) {
	for range 50 {
		n, err := FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if n < lowestPort || n > highestPort {
			t.Errorf("port %d", n)
		}
	}
	if _, err := FreePort("not an address"); err == nil {
		t.Error("a bad host gave a port")
	}
}

func TestHeldPortRefusesAndIsGivenBack(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		p, err := holdPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", p.addr); err == nil {
			conn.Close()
			t.Error("a held port accepts connections")
		}
		if l, err := net.Listen("tcp", p.addr); err == nil {
			l.Close()
			t.Error("a held port can be taken")
		}
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", p.addr)
		if err != nil {
			t.Errorf("a port given back cannot be taken: %v", err)
			continue
		}
		l.Close()
	}
}
