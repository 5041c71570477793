package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// state decides what is in force. It is pure: it sees files as they were read and
// knows no disk. One goroutine owns it.
type state struct {
	inForce  map[string]*file // good content by file name
	seen     map[string]*file // what the last walk found
	order    map[string]int   // when the content of a file was last seen to change
	round    int
	set      api.Set
	problems api.Problems
	check    func(api.Set) api.Problems // beyond api.Validate; nil: none
}

func newState() *state {
	return &state{inForce: map[string]*file{}, seen: map[string]*file{}, order: map[string]int{}}
}

// update takes up what a walk found and says whether anything is different.
func (s *state) update(found map[string]*file) bool {
	s.round++
	changed := len(found) != len(s.seen) || s.round == 1
	for name, f := range found {
		if old := s.seen[name]; old == nil || old.sum != f.sum {
			changed = true
			s.order[name] = s.round
		}
	}
	maps.DeleteFunc(s.order, func(name string, _ int) bool { return found[name] == nil })
	s.seen = found
	if changed {
		s.decide()
	}
	return changed
}

// decide works out the largest change that leaves the whole without a new
// contradiction: first everything that is good by itself, then less, holding back
// the file that changed last of those that contradict each other.
func (s *state) decide() {
	var problems api.Problems
	candidate := map[string]*file{}
	pending := map[string]bool{}
	for name, f := range s.seen {
		old := s.inForce[name]
		switch {
		case len(f.problems) > 0:
			problems = append(problems, f.problems...)
			if old != nil {
				candidate[name] = old
			}
		default:
			candidate[name] = f
			pending[name] = old == nil || old.sum != f.sum
		}
	}
	for {
		set := merge(candidate)
		contradictions := s.validate(set)
		held := s.blame(contradictions, pending)
		if len(held) == 0 {
			s.inForce, s.set = candidate, set
			s.problems = append(problems, contradictions...)
			s.problems.Sort()
			return
		}
		for name, ps := range held {
			problems = append(problems, ps...)
			pending[name] = false
			if old := s.inForce[name]; old != nil {
				candidate[name] = old
			} else {
				delete(candidate, name)
			}
		}
	}
}

func (s *state) validate(set api.Set) api.Problems {
	problems := api.Validate(set)
	if s.check != nil {
		problems = append(problems, s.check(set)...)
		problems.Sort()
	}
	return problems
}

// blame says which pending files to hold back, and why. A problem is laid to the
// pending file that changed last; one between files that are in force already is
// laid to none and only reported. A file that contradicts one which is itself
// held back is not blamed for that.
func (s *state) blame(problems api.Problems, pending map[string]bool) map[string]api.Problems {
	type charge struct {
		file string
		api.Problem
	}
	var charges []charge
	for _, p := range problems {
		file := p.File
		if other := p.Other.File; pending[other] && (!pending[file] || s.laterThan(other, file)) {
			file = other
		}
		if pending[file] {
			charges = append(charges, charge{file, p})
		}
	}
	slices.SortStableFunc(charges, func(a, b charge) int { return s.compare(a.file, b.file) })
	held := map[string]api.Problems{}
	for _, c := range charges {
		acquitted := false
		for _, side := range []string{c.File, c.Other.File} {
			acquitted = acquitted || (side != c.file && held[side] != nil)
		}
		if !acquitted {
			held[c.file] = append(held[c.file], turned(c.Problem, c.file))
		}
	}
	return held
}

// turned is a problem as seen from the file that is held back for it.
func turned(p api.Problem, file string) api.Problem {
	if p.File == file {
		return p
	}
	return api.Problem{
		Source:  p.Other,
		Message: fmt.Sprintf("contradicts what was there before it, %s: %s: %s", p.Source, p.Field, p.Message),
		Other:   p.Source,
	}
}

func (s *state) laterThan(a, b string) bool { return s.compare(a, b) > 0 }

// compare orders files by when they changed: as this registry saw it, else by
// their time stamps, else by name.
func (s *state) compare(a, b string) int {
	byTime := 0
	if x, y := s.seen[a], s.seen[b]; x != nil && y != nil && x.info != nil && y.info != nil {
		byTime = x.info.ModTime().Compare(y.info.ModTime())
	}
	return cmp.Or(cmp.Compare(s.order[a], s.order[b]), byTime, strings.Compare(a, b))
}

func merge(files map[string]*file) api.Set {
	sets := make([]api.Set, 0, len(files))
	for _, f := range files {
		sets = append(sets, f.set)
	}
	return api.Merge(sets...)
}
