package stream_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// wall is a proxy between client and server that stops passing anything on, as a
// firewall does that forgot a connection.
type wall struct {
	l      net.Listener
	target string
	seen   atomic.Int64
	frozen atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func startWall(t *testing.T, target string) *wall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wall{l: l, target: target}
	w.wg.Go(w.serve)
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		for _, c := range w.conns {
			c.Close()
		}
		w.mu.Unlock()
		w.wg.Wait()
	})
	return w
}

func (w *wall) addr() string       { return w.l.Addr().String() }
func (w *wall) connections() int64 { return w.seen.Load() }
func (w *wall) freeze()            { w.frozen.Store(true) }

func (w *wall) serve() {
	for {
		in, err := w.l.Accept()
		if err != nil {
			return
		}
		w.seen.Add(1)
		out, err := net.Dial("tcp", w.target)
		if err != nil {
			in.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, in, out)
		w.mu.Unlock()
		w.wg.Go(func() { w.pass(out, in) })
		w.wg.Go(func() { w.pass(in, out) })
	}
}

func (w *wall) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if w.frozen.Load() {
			continue // swallowed
		}
		if _, err := io.Copy(to, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}
