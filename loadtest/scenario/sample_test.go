package scenario_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// The samples that documents name are right, with all files that they name.
func TestSamples(t *testing.T) {
	const dir = "../../deploy/sample/load"
	names, err := filepath.Glob(dir + "/*.yaml")
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, name := range append(names, "../../deploy/sample/resources/scenarios.yaml") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		set, problems := api.Parse(name, text)
		if len(problems) > 0 || len(set.Scenarios) != 1 {
			t.Errorf("%s: %d scenarios, %v", name, len(set.Scenarios), problems)
			continue
		}
		p, err := scenario.NewIn(set.Scenarios[0].Spec, scenario.DefaultLimits(), scenario.Files{Dir: filepath.Dir(name)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Total() == 0 || p.MaxRate() == 0 {
			t.Errorf("%s: %d requests, %v/s at most", name, p.Total(), p.MaxRate())
		}
	}
}
