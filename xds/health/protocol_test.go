package health

import (
	"net"
	"net/http"
	"testing"
)

// TestPodThatSpeaksHTTP2Alone is ready when it is asked as it expects.
func TestPodThatSpeaksHTTP2Alone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	addr := l.Addr().String()
	w := watch(t, quick(), Target{Address: addr, Path: "/healthz", HTTP2: true})
	w.untilReady(t, addr, true)
	w.SetTargets([]Target{{Address: addr, Path: "/healthz"}})
	w.untilReady(t, addr, false)
}
