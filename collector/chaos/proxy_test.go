package chaos

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/testkit"
)

// fault is what the way to ClickHouse does to connections. The zero value lets
// everything through.
type fault struct {
	refuse    bool          // no connection stays open
	latency   time.Duration // of each piece, either way
	perSecond int           // bytes, either way; 0: no bound
	stall     bool          // nothing passes until the fault is over; then all that was held does
	cutInsert int           // bytes of an insert that pass before the connection is cut; 0: never
	cutAnswer bool          // an insert passes whole; its answer does not, and the connection is cut
}

// proxy stands between the collector and ClickHouse.
type proxy struct {
	listener net.Listener
	target   func() string
	cuts     atomic.Int64 // connections that cutInsert and cutAnswer cut

	mu    sync.Mutex
	fault fault
	over  chan struct{} // closed when fault is another
	conns map[net.Conn]struct{}
	gone  sync.WaitGroup
}

func newProxy(t testing.TB, target func() string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	p := &proxy{listener: l, target: target, over: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	p.gone.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.set(fault{})
		p.cut()
		p.gone.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// set changes the fault, for connections that are open too.
func (p *proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	for c := range p.conns {
		if f.refuse {
			_ = c.Close()
		}
	}
	close(p.over)
	p.over = make(chan struct{})
}

func (p *proxy) now() (fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.over
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// keep notes an open connection, unless none may be open.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	return !p.fault.refuse
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = c.Close()
	delete(p.conns, c)
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.gone.Go(func() { p.serve(c) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	server, err := net.DialTimeout("tcp", p.target(), 2*time.Second)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	l := &link{proxy: p, client: client, server: server}
	var both sync.WaitGroup
	both.Go(l.up)
	both.Go(l.down)
	both.Wait()
}

// link is one connection through the proxy.
type link struct {
	proxy          *proxy
	client, server net.Conn
	sent           atomic.Int64 // bytes to the server since its last answer
	block          atomic.Bool  // they are the rows of an insert
}

// packetData begins a packet of rows. Those of an insert come after the server has
// answered the statement, whose packet begins otherwise.
const packetData = 2

// up carries the client's bytes. When the client hangs up, what is held still goes
// to the server, as it would on a network.
func (l *link) up() {
	defer func() { _ = l.server.(*net.TCPConn).CloseWrite() }()
	b := make([]byte, 1<<10)
	for {
		n, err := l.client.Read(b)
		if n > 0 && l.sent.Load() == 0 {
			l.block.Store(b[0] == packetData)
		}
		if n > 0 && !l.forward(l.server, b[:n], true) {
			l.hangUp()
			return
		}
		if err != nil {
			return
		}
	}
}

// down carries the server's bytes, or holds back the answer to an insert.
func (l *link) down() {
	defer l.hangUp()
	b := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(b)
		if f, _ := l.proxy.now(); n > 0 && f.cutAnswer && l.sent.Load() > 0 && l.block.Load() {
			l.awaitAnswer(b[:n])
			l.proxy.cuts.Add(1)
			return
		}
		if n > 0 {
			l.forward(l.client, b[:n], false) // a client that left does not stop the server's part
			l.sent.Store(0)
		}
		if err != nil {
			return
		}
	}
}

// awaitAnswer reads until the end of the server's answer, which is the byte 5.
func (l *link) awaitAnswer(b []byte) {
	const endOfStream = 5
	buf := make([]byte, 32<<10)
	for b[len(b)-1] != endOfStream {
		if err := l.server.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return
		}
		n, err := l.server.Read(buf)
		if n == 0 || (err != nil && !errors.Is(err, io.EOF)) {
			return
		}
		b = buf[:n]
	}
}

// forward passes b on as the fault of the moment wants; false: the connection ends.
func (l *link) forward(to net.Conn, b []byte, upwards bool) bool {
	f, over := l.proxy.now()
	for f.stall {
		<-over
		f, over = l.proxy.now()
	}
	wait := f.latency
	if f.perSecond > 0 {
		wait += time.Duration(len(b)) * time.Second / time.Duration(f.perSecond)
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-over:
		}
	}
	if upwards && f.cutInsert > 0 && l.block.Load() && l.sent.Load()+int64(len(b)) > int64(f.cutInsert) {
		l.proxy.cuts.Add(1)
		return false
	}
	if upwards {
		l.sent.Add(int64(len(b)))
	}
	_, err := to.Write(b)
	return err == nil
}

func (l *link) hangUp() {
	_ = l.client.Close()
	_ = l.server.Close()
}
