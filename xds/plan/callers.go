package plan

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
)

// callers are the ways in which who sent a call may have been somebody else than its
// record says, or what showed it may be good for nothing any more.
func (p *Replay) callers(f *facts, at place) (u unknown) {
	as := func(o, n string) way {
		return func(before, after *explain.Request) {
			before.Identity, after.Identity = &model.Identity{Consumer: o}, &model.Identity{Consumer: n}
		}
	}
	if f.Consumer != "" {
		u.ways, u.whole = []way{as(f.Consumer, f.Consumer)}, true
		if u.name = p.mayHaveLost(f.Consumer, at); u.name != "" {
			u.ways = append(u.ways, as(f.Consumer, ""))
		}
		return u
	}
	u = unknown{name: "who called, which is not stored of calls that need no key", whole: true, ways: []way{as("", "")}}
	seen := map[string]bool{}
	refused := f.own() && f.Status == http.StatusForbidden
	for _, fn := range at.functions {
		names := slices.Concat(fn.Access.Consumers, fn.Access.Revisions)
		for _, t := range fn.Access.Tokens {
			names = append(names, t.Name+"/"+someValue)
		}
		if refused {
			names = append(names, stranger)
		}
		for _, name := range names {
			lost := refused && p.anyLost(name, at)
			if s := fmt.Sprint(lost, at.rights(name)); !seen[s] {
				seen[s] = true
				u.ways = append(u.ways, as(name, name))
				if f.Status == http.StatusUnauthorized { // it may be good now
					u.ways = append(u.ways, as("", name))
				}
				if lost {
					u.ways = append(u.ways, as(name, ""))
				}
			}
		}
	}
	return u
}

// stranger stands for all consumers that no access list names: who is refused is not
// stored. No consumer can have this name.
const stranger = "\x00"

// anyLost tells whether what somebody showed may be good for nothing any more.
func (p *Replay) anyLost(consumer string, at place) bool {
	return consumer == stranger && len(p.lost) > 0 || p.mayHaveLost(consumer, at) != ""
}

// rights says what somebody may do at a place, to tell those apart who may not do
// the same.
func (at place) rights(name string) string {
	var b strings.Builder
	for _, fn := range at.functions {
		for _, right := range []model.Right{model.Call, model.NameRevision} {
			a := fn.Admit(func(string) []string { return nil }, model.Caller{Identity: &model.Identity{Consumer: name}}, right)
			b.WriteString(a.Error + a.Assumes + "|")
		}
		if len(fn.OwnRoutes(model.Call)) > 0 && len(fn.Matches)+len(fn.Split) > 0 {
			b.WriteString(classOf(fn, name))
		}
	}
	return b.String()
}

// classOf is the class of a consumer's requests that differs from others', by name.
func classOf(fn *model.Function, name string) string {
	if slices.Contains(fn.OwnRoutes(model.Call), name) {
		return name
	}
	return ""
}

// mayHaveLost says what a caller may have shown itself by that is no good in the new
// World, or "".
func (p *Replay) mayHaveLost(consumer string, at place) string {
	if strings.Contains(consumer, "/") {
		if at.sameTokens() {
			return ""
		}
		return "whether the tokens of " + consumer + " are good"
	}
	if p.lost[consumer] {
		return "which of its credentials " + consumer + " showed"
	}
	for _, before := range at.old {
		for _, after := range at.new {
			if shows(before.Function.Access).beyond(shows(after.Function.Access)) {
				return "by what " + consumer + " showed who it is"
			}
		}
	}
	return ""
}

// sameTokens tells whether both Worlds check tokens alike.
func (at place) sameTokens() bool {
	for _, o := range at.old {
		for _, n := range at.new {
			if !reflect.DeepEqual(o.Function.Access.Tokens, n.Function.Access.Tokens) {
				return false
			}
		}
	}
	return true
}

// shown are the ways in which consumers may show who they are.
type shown struct{ key, signature, certificate bool }

func shows(a model.Access) shown { return shown{a.Key, a.Signature, a.Certificate} }

// beyond tells whether there is a way that is not among others.
func (w shown) beyond(others shown) bool {
	return w.key && !others.key || w.signature && !others.signature || w.certificate && !others.certificate
}

// lost lists the consumers that had credentials in the old World which they do not
// have in the new one.
func lost(before, after *model.Callers) map[string]bool {
	all := map[string]bool{}
	for _, m := range []struct{ before, after map[string]string }{
		{before.Keys, after.Keys}, {before.Certificates, after.Certificates},
	} {
		for credential, consumer := range m.before {
			if m.after[credential] != consumer {
				all[consumer] = true
			}
		}
	}
	for consumer := range before.Signers {
		if !after.Signers[consumer] {
			all[consumer] = true
		}
	}
	return all
}
