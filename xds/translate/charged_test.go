package translate

import (
	"net/http"
	"testing"

	"github.com/kongdao/kongdao/xds/model"
)

// TestUnchargedRoutesAnswer holds the last line of defence against routes that no
// limit knows: they answer 503 and lead nowhere.
func TestUnchargedRoutesAnswer(t *testing.T) {
	tr := &translator{}
	f := &model.Function{Name: "feed", Tier: model.Tiers()[0], Cost: 10, Split: []model.Share{{Revision: &model.Revision{Function: "feed", Name: "r1"}, Weight: 100}}}
	rule := &model.Rule{Function: f, Name: "feed/0", Path: model.ParsePath("/feed")}
	for what, c := range map[string]charge{
		"no bucket":                      {tier: f.Tier, cost: 10},
		"no cost":                        {bucket: "feed", tier: f.Tier},
		"a cost that no bucket can hold": {bucket: "feed", tier: f.Tier, cost: f.Tier.Burst + 1},
	} {
		r := charged(tr.ordinary(rule, door{right: model.Call}, split(f.Split), c))
		if r.GetDirectResponse().GetStatus() != http.StatusServiceUnavailable || !chargeable(r) {
			t.Errorf("%s: %v", what, r)
		}
	}
	good := tr.ordinary(rule, door{right: model.Call}, split(f.Split), charge{bucket: "feed", tier: f.Tier, cost: 10})
	if charged(good) != good {
		t.Error("a route with a bucket and a cost was refused")
	}
}
