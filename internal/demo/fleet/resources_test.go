package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// TestResourcesAreRight gives what the demo writes to the same check that users'
// files get, before and after the feed was measured.
func TestResourcesAreRight(t *testing.T) {
	specs := fleet.Specs(fleet.Catalog(), fleet.Zones(), 1)
	port := 10000
	for i := range specs {
		for j := range specs[i].Pods {
			port++
			specs[i].Pods[j].Address = fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	for name, rates := range map[string]fleet.Rates{
		"not measured":   {},
		"forecast alone": {Forecast: 579},
		"measured":       {PerPod: 160, Low: 160, High: 266, Run: "r", Date: time.Unix(1e9, 0), Forecast: 579},
		"no upper bound": {PerPod: 160, Low: 160, Run: "r", Date: time.Unix(1e9, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := fleet.Resources(fleet.Catalog(), specs, rates)
			if err != nil {
				t.Fatal(err)
			}
			set, problems := api.Parse("functions.yaml", text)
			problems = append(problems, api.Validate(set)...)
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			feed := set.Function(fleet.Feed)
			if len(set.Functions) != 22 || len(feed.Spec.Revisions[0].Endpoints) != 6 || feed.Spec.Capacity.PerPodQPS != rates.PerPod {
				t.Errorf("%d functions, the feed is %+v", len(set.Functions), feed.Spec)
			}
		})
	}
}
