package plan

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
)

// unknown is something about a request that its record does not say, with the ways
// in which it may have been.
type unknown struct {
	name  string // what would have to be known, for people
	whole bool   // there is no other way that matters
	ways  []way
}

// way makes a request one of those that it may have been, in the old World and in
// the new one: credentials may be good in one of them alone.
type way func(o, n *explain.Request)

// both is a way that is the same in both Worlds.
func both(set func(r *explain.Request)) way {
	return func(o, n *explain.Request) { set(o); set(n) }
}

// place is what a request can come to in both Worlds, by its host, path and method.
type place struct {
	old, new  []*model.Rule
	functions []*model.Function // of both, each once for each World
}

// reach lists the rules of a World that a call may be taken by, in order.
func reach(w *model.World, f *facts) (rules []*model.Rule) {
	websocket := f.request.Headers.Get(model.WebsocketHeader) != ""
	for _, r := range w.Candidates(f.Host) {
		if r.Websocket != websocket && !f.mayUpgrade() || !r.Reaches(f.request.Method, f.path) {
			continue
		}
		rules = append(rules, r)
		certain := len(r.Headers)+len(r.Query) == 0 && (r.CORS == nil || len(r.Methods) == 0 || slices.Contains(r.Methods, f.request.Method))
		if certain && !f.mayUpgrade() && f.Host == model.CleanHost(f.Host) {
			break
		}
	}
	return rules
}

func (p *Replay) placeOf(f *facts) place {
	at := place{old: reach(p.old, f), new: reach(p.new, f)}
	for _, rules := range [][]*model.Rule{at.old, at.new} {
		for _, r := range rules {
			if !slices.Contains(at.functions, r.Function) {
				at.functions = append(at.functions, r.Function)
			}
		}
	}
	return at
}

// rules are those of both Worlds.
func (at place) rules() []*model.Rule { return slices.Concat(at.old, at.new) }

// unknowns are all that the record of a call leaves open and that matters.
func (p *Replay) unknowns(f *facts, at place) (all []unknown, doubt string) {
	if doubt := hiddenQuery(f, at); doubt != "" {
		return nil, doubt
	}
	asked, cookies := at.words()
	for _, name := range sortedKeys(asked) {
		switch {
		case f.several[name] != nil:
			all = append(all, unknown{"the lines of the header " + name, true, headerWays(name, f.several[name])})
		case f.knows(p, name):
		case name == "cookie" || name == "authorization" || name == model.KeyHeader:
			return nil, "the header " + name
		default:
			ways, whole := asked[name].ways()
			all = append(all, unknown{"the header " + name, whole, headerWays(name, ways)})
		}
	}
	for _, name := range sortedKeys(cookies) {
		ways, whole := cookies[name].ways()
		all = append(all, unknown{"the cookie " + name, whole, cookieWays(name, ways)})
	}
	for _, u := range []unknown{upgrades(f), p.revisions(f, at), origins(f, at), p.callers(f, at), addresses(f, at)} {
		if len(u.ways) > 0 {
			all = append(all, u)
		}
	}
	return all, ""
}

// words are the headers and cookies that rules, and functions that share traffic by
// them, ask for.
func (at place) words() (headers, cookies map[string]words) {
	headers, cookies = map[string]words{}, map[string]words{}
	literal := func(m map[string]words, name, value string) {
		w := m[name]
		w.literals = append(w.literals, value)
		m[name] = w
	}
	for _, r := range at.rules() {
		for _, c := range r.Headers {
			w := headers[c.Name]
			w.conditions = append(w.conditions, c)
			headers[c.Name] = w
		}
	}
	for _, r := range at.rules() {
		if r.Transcode != nil { // what is gRPC already passes
			literal(headers, "content-type", "application/grpc")
		}
	}
	for _, f := range at.functions {
		for _, m := range f.Matches {
			for _, h := range m.Headers {
				literal(headers, h.Name, h.Value)
			}
			for _, c := range m.Cookies {
				literal(cookies, c.Name, c.Value)
			}
			if m.Users == nil {
				continue
			}
			of, name := headers, m.Users.Header
			if m.Users.Cookie != "" {
				of, name = cookies, m.Users.Cookie
			}
			w := of[name]
			w.users = append(w.users, m.Users)
			of[name] = w
		}
	}
	return headers, cookies
}

func headerWays(name string, values [][]string) (ways []way) {
	key := http.CanonicalHeaderKey(name)
	for _, v := range values {
		ways = append(ways, both(func(r *explain.Request) {
			if v != nil {
				r.Headers[key] = v
			}
		}))
	}
	return ways
}

func cookieWays(name string, values [][]string) (ways []way) {
	for _, v := range values {
		ways = append(ways, both(func(r *explain.Request) {
			if v != nil { // of several with one name the first counts
				r.Headers.Add("Cookie", name+"="+v[0])
			}
		}))
	}
	return ways
}

// hiddenQuery says which parameter of the query a rule asks for that the collector
// has hidden.
func hiddenQuery(f *facts, at place) string {
	_, query, _ := strings.Cut(f.Path, "?")
	for _, r := range at.rules() {
		for _, c := range r.Query {
			if values := model.Query(query)(c.Name); query == "***" || len(values) > 0 && masked(values[0]) {
				return "the parameter " + c.Name
			}
		}
	}
	return ""
}

// upgrades are the protocols that a refused call may have asked for.
func upgrades(f *facts) (u unknown) {
	if !f.mayUpgrade() {
		return u
	}
	other := func(r *explain.Request) {
		r.Headers.Set("Connection", "Upgrade")
		r.Headers.Set("Upgrade", someValue)
	}
	half := func(r *explain.Request) { r.Headers.Set(model.WebsocketHeader, model.WebsocketVersion) }
	return unknown{"which upgrade it asked for", true, []way{both(func(*explain.Request) {}), both(handshake), both(other), both(half)}}
}

// revisions are the revisions that a request may have named. Where nobody may name
// one, a request that was let in named none.
func (p *Replay) revisions(f *facts, at place) (u unknown) {
	refused := f.Status == http.StatusForbidden || f.Status == http.StatusUnauthorized
	may := func(fn *model.Function) bool { return !fn.Access.Shut(model.NameRevision) }
	if f.knows(p, model.RevisionHeader) || !refused && !slices.ContainsFunc(at.functions, may) {
		return u
	}
	values := [][]string{nil}
	for _, fn := range at.functions {
		for _, r := range fn.Revisions {
			if !slices.ContainsFunc(values, func(v []string) bool { return len(v) > 0 && v[0] == r.Name }) {
				values = append(values, []string{r.Name})
			}
		}
	}
	if refused {
		values = append(values, []string{someValue})
	}
	return unknown{"the header " + model.RevisionHeader, true, headerWays(model.RevisionHeader, values)}
}

// origins are the pages that a preflight may have come from.
func origins(f *facts, at place) unknown {
	u := unknown{name: "the header origin of a preflight", whole: true}
	if f.request.Method != http.MethodOptions {
		return u
	}
	var of words
	methods := []string{http.MethodGet}
	for _, r := range at.rules() {
		if r.CORS != nil {
			of.conditions = append(of.conditions, r.CORS.Origins...)
			methods = append(methods, r.Methods...)
		}
	}
	if len(of.conditions) == 0 && len(methods) == 1 {
		return u
	}
	values, whole := of.ways()
	u.whole = whole
	slices.Sort(methods)
	for _, v := range values {
		if v == nil {
			u.ways = append(u.ways, both(func(*explain.Request) {}))
			continue
		}
		for _, method := range slices.Compact(slices.Clone(methods)) {
			u.ways = append(u.ways, both(func(r *explain.Request) {
				r.Headers["Origin"] = v
				r.Headers.Set("Access-Control-Request-Method", method)
			}))
		}
	}
	return u
}

// addresses are those that a call of which no whole address is known may have come
// from: both sides of every border within what is known.
func addresses(f *facts, at place) unknown {
	u := unknown{name: "the client's whole address", whole: true}
	if f.client.IsValid() && f.client.IsSingleIP() {
		return u
	}
	var all []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && (!f.client.IsValid() || f.client.Contains(a)) && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	lists := false
	for _, fn := range at.functions {
		for _, p := range slices.Concat(fn.Access.Allow, fn.Access.Deny) {
			lists = true
			add(p.Masked().Addr().Prev())
			add(p.Masked().Addr())
			add(last(p))
			add(last(p).Next())
		}
	}
	if !lists {
		return u
	}
	if f.client.IsValid() {
		add(f.client.Addr())
		add(last(f.client))
	} else {
		add(netip.IPv4Unspecified())
		add(netip.IPv6Unspecified())
	}
	for _, a := range all {
		u.ways = append(u.ways, both(func(r *explain.Request) { r.Client = a }))
	}
	return u
}

// last is the last address of a network.
func last(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(bytes)*8; i++ {
		bytes[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}
