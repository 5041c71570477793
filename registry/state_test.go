package registry

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const zoneA = "apiVersion: kongdao.io/v1\nkind: Zone\nmetadata: {name: za}\nspec: {}\n"

// inZone is a function whose only pod is in a zone.
func inZone(name, zone string) string {
	return strings.Replace(function(name, "/"+name), `:9101"`, `:9101", zone: `+zone, 1)
}

// TestState tells stories: what the files hold at each step, and what is in force
// and wrong afterwards.
func TestState(t *testing.T) {
	type step struct {
		files map[string]string
		want  string // functions with routes, then files with problems
	}
	for name, steps := range map[string][]step{
		"the first of two that start together stays": {
			{map[string]string{"a": function("a", "/x"), "b": function("b", "/x")}, "a=/x !b"},
		},
		"what ran stays when a newcomer takes its name": {
			{map[string]string{"b": function("f", "/old")}, "f=/old"},
			{map[string]string{"b": function("f", "/old"), "a": function("f", "/new")}, "f=/old !a"},
			{map[string]string{"a": function("f", "/new")}, "f=/new"},
		},
		"a route moves between files in one step": {
			{map[string]string{"a": function("a", "/x"), "b": function("b", "/y")}, "a=/x b=/y"},
			{map[string]string{"a": function("a", "/y"), "b": function("b", "/x")}, "a=/y b=/x"},
		},
		"a change that contradicts leaves the old content": {
			{map[string]string{"a": function("a", "/x"), "b": function("b", "/y")}, "a=/x b=/y"},
			{map[string]string{"a": function("a", "/x"), "b": function("b", "/x")}, "a=/x b=/y !b"},
			{map[string]string{"b": function("b", "/x")}, "b=/x"},
		},
		"one that contradicts only what is held back is not blamed": {
			{map[string]string{"a": function("a", "/x")}, "a=/x"},
			{map[string]string{
				"a": function("a", "/x"),
				"b": function("b", "/x") + "---\n" + function("b2", "/y"),
				"c": function("c", "/y"),
			}, "a=/x c=/y !b"},
		},
		"of two that wait the one that changed first goes first": {
			{map[string]string{"x": function("x", "/x")}, "x=/x"},
			{map[string]string{"x": function("x", "/x"), "b": function("b", "/x")}, "x=/x !b"},
			{map[string]string{"x": function("x", "/z"), "b": function("b", "/x"), "a": function("a", "/x")}, "b=/x x=/z !a"},
		},
		"a function waits for its zone": {
			{map[string]string{"z": zoneA, "f": inZone("f", "zb")}, " !f"},
			{map[string]string{"z": zoneA + "---\n" + strings.Replace(zoneA, "za", "zb", 1), "f": inZone("f", "zb")}, "f=/f"},
		},
		"a zone that is deleted takes no function with it": {
			{map[string]string{"z": zoneA, "z2": strings.Replace(zoneA, "za", "zb", 1), "f": inZone("f", "za")}, "f=/f"},
			{map[string]string{"z2": strings.Replace(zoneA, "za", "zb", 1), "f": inZone("f", "za")}, "f=/f !f"},
		},
		"a file that breaks and is deleted is gone": {
			{map[string]string{"a": function("a", "/x")}, "a=/x"},
			{map[string]string{"a": "{"}, "a=/x !a"},
			{map[string]string{}, ""},
		},
		"one bad document keeps its whole file back": {
			{map[string]string{"a": function("a", "/x") + "---\n" + function("B", "/y")}, " !a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newState()
			for i, st := range steps {
				if !s.update(filesOf(st.files)) {
					t.Errorf("step %d: no change was seen", i)
				}
				if diff := cmp.Diff(st.want, describe(s)); diff != "" {
					t.Errorf("step %d (-want +got):\n%s\n%s", i, diff, s.problems)
				}
				if s.update(filesOf(st.files)) {
					t.Errorf("step %d: the same files are a change", i)
				}
			}
		})
	}
}

func filesOf(texts map[string]string) map[string]*file {
	files := map[string]*file{}
	for name, text := range texts {
		f := &file{sum: sha256.Sum256([]byte(text))}
		f.set, f.problems = parse(name, []byte(text))
		files[name] = f
	}
	return files
}

func describe(s *state) string {
	var parts []string
	for _, f := range s.set.Functions {
		parts = append(parts, f.Name+"="+f.Spec.Routes[0].Path)
	}
	text := strings.Join(parts, " ")
	last := ""
	for _, p := range s.problems {
		if p.File != last {
			text += " !" + p.File
			last = p.File
		}
	}
	return text
}

// BenchmarkDecide measures one changed file among many, one of which contradicts.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("files=%d", n), func(b *testing.B) {
			texts := map[string]string{"zz": function("zz", "/f-1")}
			for i := range n {
				texts[fmt.Sprintf("f-%d", i)] = function(fmt.Sprintf("f-%d", i), fmt.Sprintf("/f-%d", i))
			}
			files := filesOf(texts)
			b.ReportAllocs()
			for b.Loop() {
				s := newState()
				s.update(files)
				if len(s.problems) != 1 || len(s.set.Functions) != n {
					b.Fatal(s.problems)
				}
			}
		})
	}
}
