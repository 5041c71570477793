package plan

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
)

// Options say what is known of calls besides their records. The zero value is right
// for calls that keep no header and whole addresses.
type Options struct {
	Kept               []string      // request headers whose values calls keep, lower case
	IPv4Bits, IPv6Bits int           // of addresses that are stored; 0: all
	From               explain.Place // the gateways that calls come in at
}

// mostWays bounds in how many ways one call is tried.
const mostWays = 256

// Replay compares two Worlds, call by call. It is for one goroutine.
type Replay struct {
	old, new   *model.World
	options    Options
	kept       map[string]bool
	websockets map[string]bool // routes of the old World that are for them, by name
	lost       map[string]bool // consumers
	alike      bool            // who may call, and by which entrance, is known in the same way
	same       map[string]bool // functions, by name
	hosts      map[string]bool // hosts at which both Worlds do the same
}

// New prepares a replay through two Worlds.
func New(old, now *model.World, options Options) *Replay {
	p := &Replay{
		old: old, new: now, options: options,
		kept: map[string]bool{}, websockets: map[string]bool{}, same: map[string]bool{}, hosts: map[string]bool{},
		lost: lost(old.Callers, now.Callers), alike: reflect.DeepEqual(old.Callers, now.Callers) && reflect.DeepEqual(old.TLS, now.TLS),
	}
	for _, name := range options.Kept {
		p.kept[name] = true
	}
	for _, h := range old.Hosts {
		for _, r := range h.Rules {
			if r.Websocket {
				p.websockets[r.Name] = true
			}
		}
	}
	for _, f := range old.Functions {
		g := now.Function(f.Name)
		p.same[f.Name] = g != nil && f.Same(g)
	}
	return p
}

// unchanged tells that both Worlds do the same with all calls for a host.
func (p *Replay) unchanged(host string) bool {
	if !p.alike {
		return false
	}
	same, known := p.hosts[host]
	if !known {
		same = slices.EqualFunc(p.old.Candidates(host), p.new.Candidates(host), p.sameRule)
		p.hosts[host] = same
	}
	return same
}

func (p *Replay) sameRule(old, now *model.Rule) bool {
	return old == now || old.Name == now.Name && p.same[old.Function.Name]
}

// Result is what a change of the configuration means for one call.
type Result struct {
	Skipped     bool // the record is of no HTTP request
	Differences []Difference
	Moved       float64 // part of such calls that get another revision, 0 to 1
	Old, New    Taken
	Unknown     []string // what would have to be known to tell; Differences are none then
	Otherwise   bool     // the old World does not do what the record says: it is another one than it was
}

// Taken is what takes a call.
type Taken struct {
	Function string `json:"function,omitempty"`
	Route    string `json:"route,omitempty"`
	Source   string `json:"source,omitempty"` // file:line of the route
}

// Call replays one call.
func (p *Replay) Call(c *calllog.Call) Result {
	f, ok := p.factsOf(c)
	if !ok {
		return Result{Skipped: true}
	}
	if p.unchanged(c.Host) {
		return Result{}
	}
	at := p.placeOf(&f)
	if f.doubt != "" {
		return Result{Unknown: []string{f.doubt}}
	}
	if p.alike && slices.EqualFunc(at.old, at.new, p.sameRule) {
		return Result{}
	}
	all, doubt := p.unknowns(&f, at)
	tries := 1
	for _, u := range all {
		tries *= len(u.ways)
	}
	if doubt == "" && tries > mostWays {
		doubt = "more than can be tried: " + strings.Join(namesOf(all), ", ")
	}
	if doubt != "" {
		return Result{Unknown: []string{doubt}}
	}
	return judge(all, p.tried(&f, all, tries))
}

// try is one way in which a request may have been, and what becomes of it.
type try struct {
	choice   []int // of each unknown
	old, new outcome
	agrees   int // how much of the record the old World agrees with
	changes  []Difference
	key      string // of changes
	assumes  string
}

func (p *Replay) tried(f *facts, all []unknown, n int) []try {
	tries := make([]try, n)
	for i := range tries {
		t := &tries[i]
		o := f.request
		o.Headers = maps.Clone(f.request.Headers)
		now := o
		now.Headers = maps.Clone(f.request.Headers)
		for rest, j := i, 0; j < len(all); j++ {
			way := rest % len(all[j].ways)
			rest /= len(all[j].ways)
			t.choice = append(t.choice, way)
			all[j].ways[way](&o, &now)
		}
		p.follow(f, t, o, now)
	}
	return tries
}

// follow asks both Worlds.
func (p *Replay) follow(f *facts, t *try, o, now explain.Request) {
	known := func(origin model.Origin) bool { return origin.Cookie == "" && f.knows(p, origin.Header) }
	t.old = outcomeOf(p.old, explain.Explain(p.old, o), known)
	t.new = outcomeOf(p.new, explain.Explain(p.new, now), known)
	t.agrees = agreement(f, t.old)
	t.changes = differences(t.old, t.new)
	if t.new.Assumes != t.old.Assumes && !t.new.refused() {
		t.assumes = t.new.Assumes
	}
	var key strings.Builder
	for _, d := range t.changes {
		key.WriteString(d.Kind + "\x00" + d.Old + "\x00" + d.New + "\x00")
	}
	t.key = key.String()
}

// agreement tells how much of a record a World agrees with: 2 all, 1 the route and
// the gateway's own answer, 0 not even that.
func agreement(f *facts, o outcome) int {
	denied := f.own() && (f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden || f.Status == http.StatusNotFound || f.Status == http.StatusBadRequest)
	switch {
	case o.Route != f.Route:
		return 0
	case f.Status == 0: // the client left
	case o.decided() && int(f.Status) != o.Status && !f.mayBeGRPC(), !o.decided() && denied:
		return 0
	}
	if o.decided() {
		return 2
	}
	named := slices.ContainsFunc(o.shares, func(r explain.Revision) bool { return r.Name == f.Revision && r.Share > 0 })
	if f.Revision != "" && !named || o.Consumer != f.Consumer {
		return 1
	}
	return 2
}

// Compare tells in what two Worlds differ for a request of which everything is known.
func Compare(old, now *model.World, r explain.Request) []Difference {
	everything := func(model.Origin) bool { return true }
	return differences(outcomeOf(old, explain.Explain(old, r), everything), outcomeOf(now, explain.Explain(now, r), everything))
}

// judge compares the ways that agree best with the record.
func judge(all []unknown, tries []try) Result {
	best := slices.MaxFunc(tries, func(a, b try) int { return a.agrees - b.agrees }).agrees
	tries = slices.DeleteFunc(tries, func(t try) bool { return t.agrees < best })
	first := tries[0]
	r := Result{Otherwise: best < 2}
	for _, t := range tries[1:] {
		if t.key == first.key {
			continue
		}
		if first.changes = eitherRefusal(tries); first.changes != nil {
			break
		}
		r.Unknown = blamed(all, tries)
		return r
	}
	for _, u := range all {
		if !u.whole {
			r.Unknown = append(r.Unknown, u.name)
		}
	}
	if first.assumes != "" {
		r.Unknown = append(r.Unknown, first.assumes)
	}
	if len(r.Unknown) > 0 {
		return r
	}
	r.Differences = first.changes
	r.Old, r.New = takenBy(first.old), takenBy(first.new)
	for _, d := range first.changes {
		if d.Kind == KindRevision {
			r.Moved = moved(first.old, first.new)
		}
	}
	return r
}

// eitherRefusal is what all ways have in common that lead to 401 or 403, of calls that
// were served; nil where they do not.
func eitherRefusal(tries []try) []Difference {
	for _, t := range tries {
		if len(t.changes) != 1 || t.changes[0].Kind != KindStatus || t.old.Status != 0 || t.new.Function != tries[0].new.Function ||
			t.new.Status != http.StatusUnauthorized && t.new.Status != http.StatusForbidden {
			return nil
		}
	}
	return []Difference{{KindStatus, tries[0].changes[0].Old, "401 or 403"}}
}

func takenBy(o outcome) Taken { return Taken{o.Function, o.Route, o.Source} }

// blamed names what would have to be known: what alone makes a difference between two
// ways, or everything where only several things together do.
func blamed(all []unknown, tries []try) (names []string) {
	guilty := make([]bool, len(all))
	for i, a := range tries {
		for _, b := range tries[i+1:] {
			if at := only(a.choice, b.choice); a.key != b.key && at >= 0 {
				guilty[at] = true
			}
		}
	}
	for i, u := range all {
		if guilty[i] {
			names = append(names, u.name)
		}
	}
	if len(names) == 0 {
		return namesOf(all)
	}
	return names
}

// only is where two choices differ; -1 where that is not one place alone.
func only(a, b []int) int {
	at := -1
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		if at >= 0 {
			return -1
		}
		at = i
	}
	return at
}

func namesOf(all []unknown) (names []string) {
	for _, u := range all {
		if len(u.ways) > 1 {
			names = append(names, u.name)
		}
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
