package explain

import (
	"math/rand/v2"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/xds/model"
)

// Chance makes the random worlds and requests of the agreement test for tests of
// other packages.
type Chance struct{ c chance }

func NewChance(t testing.TB, seed, stream uint64) Chance {
	t.Helper()
	return Chance{chance{rand.New(rand.NewPCG(seed, stream)), grpcjsontest.Transcode(t)}}
}

// Input has functions f0, f1, … over four pods, of which one is down.
func (c Chance) Input(functions int) model.Input {
	pods := []api.Endpoint{
		{Address: "127.0.0.1:9101", Zone: "za"}, {Address: "127.0.0.1:9102", Zone: "zb"},
		{Address: "127.0.0.1:9103", Zone: "zc"}, {Address: "127.0.0.1:1", Zone: "zb"},
	}
	return c.c.input(functions, pods, map[string]bool{"127.0.0.1:1": true})
}

func (c Chance) Request() Request { return c.c.request() }

func (c Chance) IntN(n int) int { return c.c.IntN(n) }
