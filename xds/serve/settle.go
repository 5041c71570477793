package serve

import (
	"cmp"
	"context"
	"fmt"
)

// Settle blocks until every connected gateway of the group has answered all that
// these types hold at the moment of the call: accepted it, or refused it as it is.
// Without a gateway it returns at once.
func (g *Group) Settle(ctx context.Context, typeURLs ...string) error {
	want := map[string]uint64{}
	for _, t := range typeURLs {
		want[t] = g.tables[t].last()
	}
	for {
		g.server.mu.Lock()
		moved := g.server.moved
		g.server.mu.Unlock()
		waiting := g.unsettled(want)
		if waiting == "" {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("gateway %s has not answered: %w", waiting, ctx.Err())
		}
	}
}

func (g *Group) unsettled(want map[string]uint64) string {
	for _, st := range g.list() {
		if !st.settledTo(want) {
			return cmp.Or(st.nodeID(), "unknown")
		}
	}
	return ""
}

// settledTo tells whether everything up to these sequence numbers has an answer.
func (st *stream) settledTo(want map[string]uint64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for typeURL, seq := range want {
		sub := st.subs[typeURL]
		if sub == nil && wildcards(typeURL) {
			return false
		}
		if sub != nil && (sub.settled < seq || sub.outstanding != nil || len(sub.halves) > 0) {
			return false
		}
	}
	return true
}

// Refused are the resources of a type that some gateway of the group refuses as
// they are now, with its message.
func (g *Group) Refused(typeURL string) map[string]string {
	all := map[string]string{}
	for _, st := range g.list() {
		st.mu.Lock()
		if sub := st.subs[typeURL]; sub != nil {
			for name, r := range sub.refused {
				all[name] = r.text
			}
		}
		st.mu.Unlock()
	}
	return all
}
