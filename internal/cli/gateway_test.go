package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/serve"
)

// TestGatewayListSaysWhatIsWrong, in the words of those who write functions.
func TestGatewayListSaysWhatIsWrong(t *testing.T) {
	shard := xds.Difference{What: "routes", State: serve.PendingRefused, Reason: "invalid regex", Resource: "shard-3"}
	for _, name := range strings.Split("a b c d e f g h i j k l", " ") {
		shard.Functions = append(shard.Functions, api.Named{Name: name, Source: api.Source{File: name + ".yaml", Line: 4}})
	}
	q := []xds.Quarantine{{Name: "feed/1", Source: api.Source{File: "feed.yaml", Line: 7}, Reason: "bad header", Stage: "canary"}}
	state := func(node string, g xds.GatewayState) xds.GatewayState {
		g.Node, g.Group, g.Quarantined = node, "default", q
		g.Version, g.Newest, g.LastAck, g.Since = 7, 8, time.Now(), time.Now()
		return g
	}
	var out strings.Builder
	writeGateways(&out, app.Gateways{Gateways: []xds.GatewayState{
		state("gw-1", xds.GatewayState{Refuses: []xds.Difference{shard}}),
		state("gw-2", xds.GatewayState{Gateway: serve.Gateway{Warming: []string{"feed/r2"}}}),
	}})
	for _, want := range []string{
		"7 of 8",
		"gw-1 refuses routes of a (a.yaml:4), b (b.yaml:4), c (c.yaml:4), d (d.yaml:4), e (e.yaml:4), f (f.yaml:4), g (g.yaml:4), h (h.yaml:4), i (i.yaml:4), j (j.yaml:4) and 2 more: invalid regex\n",
		"gw-2 is warming feed/r2\n",
		"in quarantine at default: feed/1 (feed.yaml:7), found by canary: bad header\n",
	} {
		if strings.Count(out.String(), want) < 1 || strings.Contains(want, "quarantine") && strings.Count(out.String(), want) != 1 {
			t.Errorf("%s\nhas not, once: %s", out.String(), want)
		}
	}
}

func TestGatewayListHasCallersApart(t *testing.T) {
	var out strings.Builder
	writeGateways(&out, app.Gateways{Callers: []xds.CallerState{{
		Caller: serve.Caller{
			Node: "checkout-1", Group: "default", Agent: "gRPC Go 1.84.0", Asks: []string{"cart", "feed"},
			Refused: []serve.Rejection{{Type: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", Resources: []string{"feed"}, Message: "no match"}},
		},
		Missing: []xds.MissingFunction{{Name: "cart", Reason: "limits: held by gateways"}},
	}}})
	for _, want := range []string{
		"no gateway is connected\n\ncallers without a gateway:\n", "gRPC Go 1.84.0  cart,feed  never ",
		"checkout-1 does not get cart: limits: held by gateways\n", "checkout-1 refuses RouteConfiguration of feed: no match\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nhas not: %s", out.String(), want)
		}
	}
}
