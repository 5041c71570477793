package explain

import (
	"math/rand/v2"
	"net/http"
	"os"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate"
)

// Chance makes the random worlds and requests of the agreement test for tests of
// other packages.
type Chance struct {
	c    chance
	pods []api.Endpoint
	dead map[string]bool
}

// NewChance draws over four pods, of which one is down and nobody has to be there.
func NewChance(t testing.TB, seed, stream uint64) Chance {
	t.Helper()
	pods := []api.Endpoint{
		{Address: "127.0.0.1:9101", Zone: "za"},
		{Address: "127.0.0.1:9102", Zone: "zb"},
		{Address: "127.0.0.1:9103", Zone: "zc"},
		{Address: "127.0.0.1:1", Zone: "zb"},
	}
	c := chance{rand.New(rand.NewPCG(seed, stream)), grpcjsontest.Transcode(t)}
	return Chance{c, pods, map[string]bool{"127.0.0.1:1": true}}
}

// Over draws over pods that answer.
func (c Chance) Over(pods []api.Endpoint, dead map[string]bool) Chance {
	c.pods, c.dead = pods, dead
	return c
}

// StartPods is for Over.
func StartPods(t *testing.T) (pods []api.Endpoint, dead map[string]bool) { return startPods(t) }

// Input has functions f0, f1 and so on.
func (c Chance) Input(functions int) model.Input { return c.c.input(functions, c.pods, c.dead) }

func (c Chance) Request() Request { return c.c.request() }

func (c Chance) IntN(n int) int { return c.c.IntN(n) }

// Logged sends requests, one after the other, to a real Envoy that serves a World, and
// returns its access log.
func Logged(t *testing.T, w *model.World, sent []Request, format string) []byte {
	t.Helper()
	addr, stop, calls := serveLoggedWorld(t, w, format, func(*translate.Resources) {})
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	for i, r := range sent {
		send(t, client, addr, r, i)
	}
	client.CloseIdleConnections()
	stop() // Envoy writes its log to the end
	log, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	return log
}
