package alerting_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/testkit"
)

// wire stands between instances, TCP and UDP, and can be cut.
type wire struct {
	addr string
	tcp  net.Listener
	udp  *net.UDPConn

	mu    sync.Mutex // guards all below
	to    string
	cut   bool
	conns map[io.Closer]bool
	ways  map[string]*net.UDPConn // of datagrams, by who sent them
}

// freePort is one that was free a moment ago, for TCP and UDP.
func freePort(t *testing.T) string {
	t.Helper()
	l, u := bindBoth(t)
	l.Close()
	u.Close()
	return l.Addr().String()
}

// bindBoth takes a port of TCP and the UDP port of the same number.
func bindBoth(t *testing.T) (net.Listener, *net.UDPConn) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			l.Close()
			continue
		}
		return l, u
	}
	t.Fatal("no port is free")
	return nil, nil
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, u := bindBoth(t)
	w := &wire{addr: l.Addr().String(), tcp: l, udp: u, conns: map[io.Closer]bool{}, ways: map[string]*net.UDPConn{}}
	var running sync.WaitGroup
	running.Go(func() { w.accept(&running) })
	running.Go(func() { w.receive(&running) })
	t.Cleanup(func() {
		w.set(true)
		l.Close()
		u.Close()
		running.Wait()
	})
	return w
}

// set cuts the wire or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.conns {
			c.Close()
		}
		clear(w.conns)
		clear(w.ways)
	}
}

// open returns where the wire leads to, if anywhere, and keeps what is opened for it.
func (w *wire) open(dial func(to string) (net.Conn, error)) net.Conn {
	w.mu.Lock()
	to, cut := w.to, w.cut
	w.mu.Unlock()
	if cut || to == "" {
		return nil
	}
	c, err := dial(to)
	if err != nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		c.Close()
		return nil
	}
	w.conns[c] = true
	return c
}

func (w *wire) accept(running *sync.WaitGroup) {
	for {
		in, err := w.tcp.Accept()
		if err != nil {
			return
		}
		out := w.open(func(to string) (net.Conn, error) { return net.Dial("tcp", to) })
		if out == nil {
			in.Close()
			continue
		}
		w.mu.Lock()
		w.conns[in] = true
		w.mu.Unlock()
		pipe := func(a, b net.Conn) {
			_, _ = io.Copy(a, b)
			a.Close()
			b.Close()
		}
		running.Go(func() { pipe(in, out) })
		running.Go(func() { pipe(out, in) })
	}
}

func (w *wire) receive(running *sync.WaitGroup) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := w.udp.ReadFromUDP(buf)
		if err != nil {
			return
		}
		w.mu.Lock()
		out, cut := w.ways[from.String()], w.cut
		w.mu.Unlock()
		if cut {
			continue
		}
		if out == nil {
			c, ok := w.open(func(to string) (net.Conn, error) { return net.Dial("udp", to) }).(*net.UDPConn)
			if !ok {
				continue
			}
			out = c
			w.mu.Lock()
			w.ways[from.String()] = out
			w.mu.Unlock()
			running.Go(func() { w.answer(out, from) })
		}
		_, _ = out.Write(buf[:n])
	}
}

func (w *wire) answer(out *net.UDPConn, to *net.UDPAddr) {
	buf := make([]byte, 64<<10)
	for {
		n, err := out.Read(buf)
		if err != nil {
			return
		}
		_, _ = w.udp.WriteToUDP(buf[:n], to)
	}
}

func (w *wire) leadTo(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = addr
}

// toldOf reports whether an instance has it on disk that a group was told.
func toldOf(dir, name string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "alertmanager", "nflog*"))
	return slices.ContainsFunc(files, func(f string) bool {
		text, err := os.ReadFile(f)
		return err == nil && bytes.Contains(text, []byte(name))
	})
}

// Two instances that do not see each other any more: what waited in one is taken over
// by the other; when they meet again it is told once.
func TestPartition(t *testing.T) {
	t.Parallel()
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	dirs := []string{t.TempDir(), t.TempDir()}
	var wires [4]*wire
	for i := range wires {
		wires[i] = newWire(t)
	}
	begin := func(i int, others ...*instance) *instance {
		m := member{Dir: dirs[i], Target: target.addr(), Robot: robot.URL("token")}
		m.Cluster.Advertise, m.Cluster.AdvertiseOutbox = wires[2*i].addr, wires[2*i+1].addr
		m.Cluster.Listen = freePort(t)
		one := spawn(t, m, others...)
		wires[2*i].leadTo(m.Cluster.Listen)
		wires[2*i+1].leadTo(one.mirror)
		return one
	}
	a := begin(0)
	b := begin(1, a)
	a.sees(t, 2)
	b.sees(t, 2)

	heal := refusing(robot)
	target.broken.Store(1)
	testkit.Eventually(t, "a try", func() bool { return len(robot.Refusals()) > 0 })
	a.fires(t, true)
	b.fires(t, true)
	testkit.Eventually(t, "both to know that one has accepted it", func() bool {
		return toldOf(dirs[0], "Broken") && toldOf(dirs[1], "Broken")
	})
	for _, w := range wires {
		w.set(true)
	}
	a.sees(t, 1)
	b.sees(t, 1)
	testkit.Eventually(t, "what waited to be taken over", func() bool {
		return strings.Contains(outboxLog(t, dirs[0])+outboxLog(t, dirs[1]), `"op":"took"`)
	})
	for _, w := range wires {
		w.set(false)
	}
	a.sees(t, 2)
	b.sees(t, 2)
	testkit.Eventually(t, "who had it first to be told that it was taken over", func() bool {
		return strings.Contains(outboxLog(t, dirs[0])+outboxLog(t, dirs[1]), "another instance has taken it over")
	})
	heal()
	wait(t, robot, 1)
	settle()
	if n := len(robot.Messages()); n != 1 {
		t.Errorf("%d messages after the instances met again: %+v", n, robot.Messages())
	}
	target.broken.Store(0)
	ended := wait(t, robot, 2)
	settle()
	if n := len(robot.Messages()); n != 2 || !strings.Contains(ended[1].Title, "已恢复") {
		t.Errorf("%d messages, want the fault and its end: %+v", n, robot.Messages())
	}
}
