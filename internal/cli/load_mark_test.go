package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
)

// TestMarkedScenario: every request has the right to its mark, and the scenario that
// was read has it nowhere.
func TestMarkedScenario(t *testing.T) {
	target := func(header map[string]string) []api.Target {
		return []api.Target{{URL: "http://127.0.0.1", Header: header}}
	}
	scenario := func(with func(map[string]string) map[string]string) api.ScenarioSpec {
		return api.ScenarioSpec{
			Targets:   target(with(nil)),
			Steps:     target(with(map[string]string{"x-a": "1"})),
			Scenarios: []api.SubScenario{{Name: "a", Targets: target(with(map[string]string{}))}, {Name: "b", Steps: target(with(nil))}},
		}
	}
	plain := func(h map[string]string) map[string]string { return h }
	proven := func(h map[string]string) map[string]string {
		all := map[string]string{"x-right": "1"}
		for k, v := range h {
			all[k] = v
		}
		return all
	}
	read := scenario(plain)
	if diff := cmp.Diff(scenario(proven), marked(read, "x-right")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(scenario(plain), read); diff != "" {
		t.Errorf("what was read has changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(read, marked(read, "")); diff != "" {
		t.Errorf("without a right (-want +got):\n%s", diff)
	}
}
