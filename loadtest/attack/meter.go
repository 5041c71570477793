package attack

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Meter counts every byte that a run receives and sends, those of headers and of TLS
// included, while they come and go, and says when they are more than allowed. All
// connections of a run share one. A nil Meter counts nothing.
type Meter struct {
	most uint64
	n    atomic.Uint64
	once sync.Once
	over chan struct{}
}

// NewMeter allows so many bytes; 0: any.
func NewMeter(most uint64) *Meter { return &Meter{most: most, over: make(chan struct{})} }

// Bytes is how many there were so far.
func (m *Meter) Bytes() uint64 {
	if m == nil {
		return 0
	}
	return m.n.Load()
}

// Most is how many are allowed; 0: any.
func (m *Meter) Most() uint64 {
	if m == nil {
		return 0
	}
	return m.most
}

// Over is closed when there were more than allowed.
func (m *Meter) Over() <-chan struct{} {
	if m == nil {
		return nil
	}
	return m.over
}

func (m *Meter) isOver() bool {
	select {
	case <-m.Over():
		return true
	default:
		return false
	}
}

func (m *Meter) add(n int) {
	if n <= 0 {
		return
	}
	if all := m.n.Add(uint64(n)); m.most > 0 && all > m.most {
		m.once.Do(func() { close(m.over) })
	}
}

// dialTimeout is how long a connection may take to come about.
const dialTimeout = 5 * time.Second

// Dial connects; what goes over the connection is counted.
func (m *Meter) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil || m == nil {
		return conn, err
	}
	return &metered{conn, m}, nil
}

type metered struct {
	net.Conn
	meter *Meter
}

func (c *metered) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.add(n)
	return n, err
}

func (c *metered) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.add(n)
	return n, err
}
