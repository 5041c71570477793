package release

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// Weight is a revision's part of the ordinary traffic, in percent.
type Weight struct {
	Revision string `json:"revision"`
	Percent  int    `json:"percent"`
}

// Weights are all revisions with a part above 0; they add up to 100.
type Weights []Weight

// String is such as "r12 95%, r13 5%".
func (w Weights) String() string {
	parts := make([]string, len(w))
	for i, x := range w {
		parts[i] = fmt.Sprintf("%s %d%%", x.Revision, x.Percent)
	}
	return strings.Join(parts, ", ")
}

// Of is a revision's part; 0 when it has none.
func (w Weights) Of(revision string) int {
	for _, x := range w {
		if x.Revision == revision {
			return x.Percent
		}
	}
	return 0
}

// main is the revision with the largest part.
func (w Weights) main() string {
	best := Weight{}
	for _, x := range w {
		if x.Percent > best.Percent {
			best = x
		}
	}
	return best.Revision
}

// all gives one revision everything.
func all(revision string) Weights { return Weights{{revision, 100}} }

// with gives a revision a part and the others what is left, in proportion to what
// they have. Others that have nothing leave everything to the revision.
func (w Weights) with(revision string, percent int) Weights {
	rest, sum := 100-percent, 0
	var others Weights
	for _, x := range w {
		if x.Revision != revision && x.Percent > 0 {
			others = append(others, x)
			sum += x.Percent
		}
	}
	if sum == 0 {
		return all(revision)
	}
	given := 0
	for i := range others {
		others[i].Percent = int(math.Round(float64(rest) * float64(others[i].Percent) / float64(sum)))
		given += others[i].Percent
	}
	largest := 0
	for i := range others {
		if others[i].Percent > others[largest].Percent {
			largest = i
		}
	}
	others[largest].Percent += rest - given
	out := slices.DeleteFunc(append(others, Weight{revision, percent}), func(x Weight) bool { return x.Percent <= 0 })
	slices.SortFunc(out, func(a, b Weight) int { return strings.Compare(a.Revision, b.Revision) })
	return out
}

func (w Weights) equal(o Weights) bool {
	if len(w) != len(o) {
		return false
	}
	for _, x := range w {
		if o.Of(x.Revision) != x.Percent {
			return false
		}
	}
	return true
}

// written are the weights in a function's file.
func written(f *api.Function) (w Weights) {
	for _, t := range f.Spec.Traffic {
		if t.Match == nil && t.Weight > 0 {
			w = append(w, Weight{t.Revision, t.Weight})
		}
	}
	if len(w) == 0 && len(f.Spec.Revisions) > 0 {
		w = all(f.Spec.Revisions[len(f.Spec.Revisions)-1].Name)
	}
	return w
}

// missing is a revision that the weights name and the function has not, or has for
// stress tests alone; or "".
func (w Weights) missing(f *api.Function) string {
	for _, x := range w {
		if !slices.ContainsFunc(f.Spec.Revisions, func(r api.Revision) bool { return r.Name == x.Revision }) || f.Spec.LoadTest.Takes(x.Revision) {
			return x.Revision
		}
	}
	return ""
}

// applied is the function with these weights instead of its own. It shares what it
// can with f, which stays as it is.
func applied(f *api.Function, w Weights) *api.Function {
	out := *f
	out.Spec.Traffic = nil
	for _, x := range w {
		out.Spec.Traffic = append(out.Spec.Traffic, api.Traffic{Revision: x.Revision, Weight: x.Percent})
	}
	for _, t := range f.Spec.Traffic {
		if t.Match != nil {
			out.Spec.Traffic = append(out.Spec.Traffic, t)
		}
	}
	return &out
}
