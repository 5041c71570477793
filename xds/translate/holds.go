package translate

import (
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

// Holds are the functions whose routes lie in a route configuration of a World, in
// the order of hosts and rules, each once.
func (c Config) Holds(w *model.World, configuration string) (all []*model.Function) {
	seen := map[*model.Function]bool{}
	for _, h := range w.Hosts {
		if configuration != Websockets && c.configurationOf(h) != configuration {
			continue
		}
		rules := h.Rules
		if configuration == Websockets {
			rules = w.Websockets(h)
		}
		for _, r := range rules {
			if !seen[r.Function] {
				seen[r.Function] = true
				all = append(all, r.Function)
			}
		}
	}
	return all
}

// HostOf is the host that a scope is for; false for those of all wildcards, of
// websockets and of shards.
func HostOf(scope string) (string, bool) {
	return scope, scope != anyScope && !strings.HasPrefix(scope, noHost)
}
