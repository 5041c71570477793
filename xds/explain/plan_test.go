package explain_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/plan"
)

// recorded is the call of a request, as a gateway of the World writes it down.
func recorded(c explain.Chance, w *model.World, r explain.Request, kept []string) calllog.Call {
	a := explain.Explain(w, r)
	call := calllog.Call{
		Time: time.Unix(1_800_000_000, 0), Method: calllog.MethodName([]byte(r.Method)), Host: r.Host, Path: r.Path,
		Function: a.Function, Route: a.Route, Consumer: a.Consumer, ClientIP: r.Client.String(),
		LoadTest: r.Headers.Get(model.LoadTestHeader), Status: uint16(a.Status), SampleWeight: 1, Attrs: map[string]string{},
	}
	if call.Method == calllog.OtherMethod {
		call.Attrs[calllog.AttrMethod] = r.Method
	}
	for _, name := range kept {
		if v := r.Headers.Values(name); len(v) > 0 {
			call.Attrs[name] = strings.Join(v, ",")
		}
	}
	if a.Revision == "" {
		return call
	}
	chosen := a.Revisions[c.IntN(len(a.Revisions))]
	call.Revision, call.Status = chosen.Name, uint16(chosen.Status)
	if chosen.Status == 0 {
		call.Status, call.Attempts, call.Pod = http.StatusOK, 1, "127.0.0.1:9101"
	}
	if a.Websocket && chosen.Status == 0 {
		call.Status = http.StatusSwitchingProtocols
	}
	return call
}

// pair are two Worlds of which the second has some functions of its own, and now
// and then other keys.
func pair(c, other explain.Chance) (old, now *model.World) {
	const functions = 12
	in, another := unstuck(c.Input(functions)), unstuck(other.Input(functions))
	old = model.Build(in)
	after := in
	after.Set.Functions = nil
	for i, f := range in.Set.Functions {
		switch c.IntN(4) {
		case 0:
			after.Set.Functions = append(after.Set.Functions, another.Set.Functions[i])
		case 1:
			changed := *f
			changed.Spec.Access = another.Set.Functions[i].Spec.Access
			after.Set.Functions = append(after.Set.Functions, &changed)
		case 2:
			changed := *f
			changed.Spec.Traffic = nil
			after.Set.Functions = append(after.Set.Functions, &changed)
		default:
			after.Set.Functions = append(after.Set.Functions, f)
		}
	}
	if c.IntN(3) == 0 {
		after.Keys = map[string][]string{"ann": in.Keys["ann"], "bob": in.Keys["bob"][1:]}
	}
	return old, model.Build(after)
}

// beyond tells of a request what plan says that it takes as given.
func beyond(r explain.Request) bool {
	if len(r.Headers.Values(model.PodHeader)) > 0 {
		return true
	}
	for name, values := range r.Headers {
		if len(values) > 1 && name != "Cookie" {
			return true
		}
		for _, v := range values {
			if v == "" || strings.ContainsAny(v, ",[") || strings.Contains(v, "\xff") || strings.Contains(v, "ä") {
				return true
			}
		}
	}
	return false
}

// TestPlanNeverGuesses replays calls of random requests through random pairs of
// Worlds, knowing only what a record holds. Whatever is said of a call has to be what
// Explain says of the request itself.
func TestPlanNeverGuesses(t *testing.T) {
	const pairs, requests = 24, 300
	draws := [][2]uint64{{1007, 14}, {3007, 44}} // went wrong once
	for i := range uint64(pairs) {
		draws = append(draws, [2]uint64{7, i})
	}
	told, changed, unknown := 0, 0, 0
	for _, d := range draws {
		i := d[1]
		c := explain.NewChance(t, d[0], i)
		old, now := pair(c, explain.NewChance(t, d[0]+1, i))
		var kept []string
		if i%2 == 0 {
			kept = []string{"x-gray", "x-canary", "x-user", model.RevisionHeader}
		}
		p := plan.New(old, now, plan.Options{Kept: kept})
		for range requests {
			r := c.Request()
			if r.Method != http.MethodOptions {
				r.Headers.Del("Origin")
			}
			if beyond(r) {
				continue
			}
			call := recorded(c, old, r, kept)
			got := p.Call(&call)
			if len(got.Unknown) > 0 {
				unknown++
				continue
			}
			told++
			want := either(plan.Compare(old, now, r), got.Differences)
			if len(want) > 0 {
				changed++
			}
			if diff := cmp.Diff(want, got.Differences); diff != "" {
				t.Errorf("pair %d: %s %s %s %v\nold %s\nnew %s\nrecord %+v\n-want +got:\n%s", i, r.Method, r.Host, r.Path, r.Headers,
					explain.Explain(old, r).Text(), explain.Explain(now, r).Text(), call, diff)
				t.FailNow()
			}
		}
	}
	t.Logf("%d told, %d of them change, of %d nobody can tell", told, changed, unknown)
	if changed < 100 || unknown < 100 || told < 2000 {
		t.Errorf("%d told, %d changed, %d unknown: the worlds do not differ enough for this test to mean anything", told, changed, unknown)
	}
}

// either is what is wanted where plan may leave open which refusal it is.
func either(want, got []plan.Difference) []plan.Difference {
	if len(want) == 1 && len(got) == 1 && got[0].New == "401 or 403" && strings.Contains(got[0].New, want[0].New) {
		return []plan.Difference{{Kind: want[0].Kind, Old: want[0].Old, New: got[0].New}}
	}
	return want
}

// TestPlanOfNoChange replays through two Worlds of equal resources, which are written
// in other files.
func TestPlanOfNoChange(t *testing.T) {
	for i := range uint64(6) {
		c := explain.NewChance(t, 9, i)
		old := model.Build(c.Input(12))
		in := explain.NewChance(t, 9, i).Input(12)
		for _, f := range in.Set.Functions {
			f.Source.File, f.Spec.Routes[0].Source.File = "elsewhere.yaml", "elsewhere.yaml"
		}
		p := plan.New(old, model.Build(in), plan.Options{})
		var calls []calllog.Call
		for range 300 {
			calls = append(calls, recorded(c, old, c.Request(), nil))
		}
		if r := p.Run(calls); r.Unchanged != len(calls) || r.Changed+r.Unknown+r.Skipped > 0 {
			t.Errorf("world %d: %d of %d stay: %+v", i, r.Unchanged, len(calls), r)
		}
	}
}

// unstuck takes keys out of a function's traffic: what a key leads to is a matter of
// its value, which records do not hold.
func unstuck(in model.Input) model.Input {
	for _, f := range in.Set.Functions {
		f.Spec.Sticky = nil
	}
	return in
}
