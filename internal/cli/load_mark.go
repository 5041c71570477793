package cli

import (
	"context"
	"maps"
	"net/http"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
)

// loadMark is the header that requests of stress tests need beside their mark for
// the running system to believe it; empty: none, or there is no system.
func (e *env) loadMark(ctx context.Context) (string, error) {
	c, err := e.connect()
	if err != nil {
		return "", nil //nolint:nilerr // without a system there is nobody who asks for a right
	}
	var mark app.LoadMark
	err = c.do(ctx, http.MethodGet, "/load-mark", nil, nil, &mark)
	return mark.Header, err
}

// marked is a scenario whose requests have the header; the one given stays as it is.
func marked(spec api.ScenarioSpec, header string) api.ScenarioSpec {
	if header == "" {
		return spec
	}
	spec.Targets, spec.Steps = markedTargets(spec.Targets, header), markedTargets(spec.Steps, header)
	var all []api.SubScenario
	for _, sub := range spec.Scenarios {
		sub.Targets, sub.Steps = markedTargets(sub.Targets, header), markedTargets(sub.Steps, header)
		all = append(all, sub)
	}
	spec.Scenarios = all
	return spec
}

func markedTargets(targets []api.Target, header string) (all []api.Target) {
	for _, t := range targets {
		t.Header = maps.Clone(t.Header)
		if t.Header == nil {
			t.Header = map[string]string{}
		}
		t.Header[header] = "1"
		all = append(all, t)
	}
	return all
}
