package traffic_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/internal/demo/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCountsAreTheServersCounts(t *testing.T) {
	const enough = 300
	var a, b atomic.Int64
	reached := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "fn.example.com" {
			t.Errorf("host %q", r.Host)
		}
		switch r.URL.Path {
		case "/a":
			if a.Add(1) == enough {
				close(reached)
			}
		case "/b":
			if b.Add(1)%2 == 0 {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	g, err := traffic.Start(traffic.Source{
		Gateway: strings.TrimPrefix(server.URL, "http://"), Host: "fn.example.com",
		Paths: map[string]string{"fa": "/a", "fb": "/b"}, Rate: 2000,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	c := g.Stop()
	if c.ByFunction["fa"] != int(a.Load()) || c.ByFunction["fb"] != int(b.Load()) || c.Sent != int(a.Load()+b.Load()) {
		t.Errorf("counted %v of %d, the server saw %d and %d", c.ByFunction, c.Sent, a.Load(), b.Load())
	}
	if c.Refused != int(b.Load())/2 || c.Refused+c.Failed != int(b.Load()) {
		t.Errorf("refused %d, failed %d of %d", c.Refused, c.Failed, b.Load())
	}
	sent := 0
	for _, s := range c.Seconds {
		sent += s.Sent
	}
	if sent != c.Sent {
		t.Errorf("seconds add up to %d of %d", sent, c.Sent)
	}
}

func TestStartRefusesNoRate(t *testing.T) {
	if _, err := traffic.Start(traffic.Source{Paths: map[string]string{"f": "/"}}); err == nil {
		t.Error("a rate of 0 is accepted")
	}
}
