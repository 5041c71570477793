package explain

import (
	"math/rand/v2"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/xds/translate"
	"github.com/kongdao/kongdao/xds/translate/chaintest"
)

// TestChainsOfRandomWorlds wants of many random worlds that no request can end at a
// route with a filter that its chain lacks.
func TestChainsOfRandomWorlds(t *testing.T) {
	pods := []api.Endpoint{{Address: "127.0.0.1:1", Zone: "za"}, {Address: "127.0.0.1:2", Zone: "zb"}}
	calls := grpcjsontest.Transcode(t)
	for seed := range uint64(25) {
		c := chance{rand.New(rand.NewPCG(seed, 22)), calls}
		r, err := translate.Changes(translate.Config{Address: "127.0.0.1", Port: 9000, Shards: 2}, nil, c.world(12, pods, nil))
		if err != nil {
			t.Fatal(err)
		}
		filters, err := chaintest.Filters(r.Listeners[translate.ListenerName])
		if err != nil {
			t.Fatal(err)
		}
		for _, configuration := range r.Routes {
			for _, p := range chaintest.Problems(configuration, filters) {
				t.Errorf("seed %d: %s", seed, p)
			}
		}
	}
}
