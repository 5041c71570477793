package serve

import (
	"fmt"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// introduce takes in who a gateway is, and finds its group.
func (st *stream) introduce(n *core.Node) {
	s := st.server
	s.mu.Lock() // so that SetGroups sees the stream before or after, not between
	defer s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.node, st.zone, st.claim, st.build, st.disk = n.GetId(), n.GetLocality().GetZone(), claimOf(n), buildOf(n), diskOf(n)
	st.group = s.group(s.groupOf(st.claim))
	s.log.Info("gateway connected", "node", st.node, "group", st.group.name, "zone", st.zone)
}

func buildOf(n *core.Node) string {
	v := n.GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
}

func (st *stream) claims() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.claim
}

// isIn is the name of the gateway's group; empty until it is known.
func (st *stream) isIn() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.group == nil {
		return ""
	}
	return st.group.name
}

func (st *stream) isOpen() bool {
	st.mu.Lock()
	g := st.group
	st.mu.Unlock()
	st.server.mu.Lock()
	defer st.server.mu.Unlock()
	return g != nil && g.open
}

func (st *stream) member() Member {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.group == nil {
		return Member{}
	}
	return Member{Node: st.node, Group: st.group.name, Zone: st.zone}
}

// marks are the versions of the gateway's group.
func (st *stream) marks() []mark {
	st.mu.Lock()
	g := st.group
	st.mu.Unlock()
	if g == nil {
		return nil
	}
	st.server.mu.Lock()
	defer st.server.mu.Unlock()
	return g.marks[:len(g.marks):len(g.marks)]
}

func (st *stream) describe(now time.Time) Gateway {
	marks := st.marks()
	st.mu.Lock()
	defer st.mu.Unlock()
	g := Gateway{
		Node: st.node, Zone: st.zone, Build: st.build, Since: st.since, Disk: st.disk, LastAck: st.last,
		Acked: map[string]time.Time{}, Rejected: map[string]string{}, Warming: st.warming(),
	}
	if st.group != nil {
		g.Group = st.group.name
	}
	for typeURL, at := range st.acked {
		g.Acked[typeURL] = at
	}
	for typeURL, sub := range st.subs {
		if out := sub.outstanding; out != nil {
			g.Unanswered += len(out.names) + len(out.removed)
		}
		if out := sub.outstanding; out != nil && (g.Silent.IsZero() || out.sent.Before(g.Silent)) {
			g.Silent = out.sent
		}
		for name, r := range sub.refused {
			g.Rejected[typeURL+" "+name] = r.text
		}
	}
	g.Waiting = st.waiting()
	st.locate(&g, marks, now)
	return g
}

// maxWaiting bounds how many resources are named that have no answer.
const maxWaiting = 10

// waiting names resources without an answer.
func (st *stream) waiting() (names []string) {
	for _, typeURL := range Types() {
		sub := st.subs[typeURL]
		if sub == nil || sub.outstanding == nil {
			continue
		}
		for _, name := range sub.outstanding.names {
			if len(names) == maxWaiting {
				return names
			}
			names = append(names, name)
		}
	}
	return names
}

// locate fills in the version that the gateway is at. A version with something that
// the gateway refuses is not one that it has accepted.
func (st *stream) locate(g *Gateway, marks []mark, now time.Time) {
	if len(marks) == 0 {
		return
	}
	g.Newest = marks[len(marks)-1].version
	i := len(marks) - 1
	for i >= 0 && !st.has(marks[i]) {
		i--
	}
	if i >= 0 {
		g.Version = marks[i].version
	}
	if i < len(marks)-1 {
		g.Lag = now.Sub(marks[i+1].at).Seconds()
	}
}

// has tells whether everything of a version is accepted.
func (st *stream) has(m mark) bool {
	for typeURL, seq := range m.seqs {
		sub := st.subs[typeURL]
		if sub == nil && wildcards(typeURL) {
			return false
		}
		if sub != nil && (sub.settled < seq || sub.refusedSince(seq)) {
			return false
		}
	}
	return true
}

// refusedSince tells whether a resource was refused that is in the tables since
// this or an earlier change: then the version of that change is not complete.
func (s *subscription) refusedSince(seq uint64) bool {
	for _, r := range s.refused {
		if r.seq <= seq {
			return true
		}
	}
	return false
}
