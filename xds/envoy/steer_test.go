package envoy

import (
	"context"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shared listens on a port beside others.
func shared(t *testing.T, addr string) *net.TCPListener {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if errRaw := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); errRaw != nil {
			return errRaw
		}
		return err
	}}
	c.SetMultipathTCP(false) // it takes no filters
	l, err := c.Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// TestSteering: with the filter all connections go to the sockets that came last, and
// to what is left when the others are gone and it is taken away.
func TestSteering(t *testing.T) {
	old := shared(t, "127.0.0.1:0")
	addr := old.Addr().String()
	others := []*net.TCPListener{shared(t, addr), shared(t, addr)}
	mine, all, err := listening(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at, files := range mine {
		if len(files) == 3 && all[at] == 3 {
			found++
		}
	}
	if found == 0 {
		t.Fatalf("the three sockets are not found: %v of %v", mine, all)
	}
	raw, err := others[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if err := raw.Control(func(own uintptr) { fd, err = unix.Dup(int(own)) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := attach(fd, 1, 2); err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 2)
	for range 40 {
		counts[reach(t, addr, others)]++
	}
	if slices.Min(counts) == 0 {
		t.Errorf("connections are not spread over both: %v", counts)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (steering{fd}).end(); err != nil {
		t.Fatal(err)
	}
	reach(t, addr, others)
}

// reach connects, and tells which listener got it. One on the socket of another, that
// nobody asks, ends the wait.
func reach(t *testing.T, addr string, to []*net.TCPListener) int {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		for i, l := range to {
			if err := l.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if c, err := l.Accept(); err == nil {
				c.Close()
				return i
			}
		}
	}
	t.Fatal("the connection went to a socket that is to have none")
	return 0
}
