package model

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// sticky makes a function with these weights, in the order of its revisions.
func sticky(weights ...int) *Function {
	f := &Function{Name: "feed", Sticky: Origin{Header: "x-user"}}
	for i, w := range weights {
		r := &Revision{Function: "feed", Name: fmt.Sprint("r", i)}
		f.Revisions = append(f.Revisions, r)
		if w > 0 {
			f.Split = append(f.Split, Share{r, w})
		}
	}
	return f
}

// owners is the revision of each slot.
func owners(f *Function) (names []string) {
	for _, s := range f.Slots() {
		for range s.Weight {
			names = append(names, s.Revision.Name)
		}
	}
	return names
}

// Whatever the weights: each revision has as many slots as its weight says.
func TestSlotsFollowWeights(t *testing.T) {
	c := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		a, b := c.IntN(50), c.IntN(50)
		f := sticky(a, b, 100-a-b)
		count := map[string]int{}
		for _, name := range owners(f) {
			count[name]++
		}
		for i, want := range []int{a, b, 100 - a - b} {
			if got := count[fmt.Sprint("r", i)]; got != want {
				t.Fatalf("weights %d, %d, %d: r%d has %d slots", a, b, 100-a-b, i, got)
			}
		}
	}
}

// Two revisions: a slot moves only in the direction of the change, also past the
// half, and through 0 and 100.
func TestSlotsMoveOneWay(t *testing.T) {
	for from := range 101 {
		for to := from; to <= 100; to++ {
			before, after := owners(sticky(100-from, from)), owners(sticky(100-to, to))
			moved := 0
			for i := range before {
				if before[i] == after[i] {
					continue
				}
				if moved++; after[i] != "r1" {
					t.Fatalf("%d %% to %d %%: slot %d went from %s to %s", from, to, i, before[i], after[i])
				}
			}
			if moved != to-from {
				t.Fatalf("%d %% to %d %%: %d slots moved", from, to, moved)
			}
		}
	}
}

// The first callers of a new revision are not the same in every function.
func TestPlacesDifferBetweenFunctions(t *testing.T) {
	places := map[int]bool{}
	for i := range 200 {
		f := &Function{Name: fmt.Sprint("f", i)}
		places[f.place(&Revision{Function: f.Name, Name: "r2"}, 100)] = true
	}
	if len(places) < 50 {
		t.Errorf("200 functions begin at %d places of 100", len(places))
	}
}

func TestCookies(t *testing.T) {
	values := func(string) []string { return []string{` a=1; b="2" ;c=3; a=9`, "d", "d=x=y", `e="5"`} }
	got := cookies(values)
	for name, want := range map[string]string{"a": "1", "b": `"2" `, "c": "3", "d": "x=y", "e": "5"} {
		if got[name] != want {
			t.Errorf("cookie %s is %q, want %q", name, got[name], want)
		}
	}
}
