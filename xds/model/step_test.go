package model

import (
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// TestAListThatIsChangedInPlace: whoever gave the list of functions may put another
// one into it.
func TestAListThatIsChangedInPlace(t *testing.T) {
	of := func(name string, timeout time.Duration) *api.Function {
		f := &api.Function{Metadata: api.Metadata{Name: name}}
		f.Spec.Timeout = api.Duration(timeout)
		return f
	}
	in := Input{Set: api.Set{Functions: []*api.Function{of("a", time.Second), of("b", time.Second)}}}
	for i := range 3 {
		in.Previous, in.Touched = Build(in), map[string]bool{}
		want := time.Duration(i+2) * time.Second
		in.Set.Functions[1] = of("b", want)
		w := Build(in)
		functions, _ := w.Since(in.Previous)
		if got := w.Function("b").Timeout; got != want || len(functions) != 1 || w.Function("a") != in.Previous.Function("a") {
			t.Errorf("timeout %v, want %v; %d functions changed", got, want, len(functions))
		}
	}
}
