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

// TestTheFirstWhoSigns: with the first consumer that signs, functions ask about
// signatures, whichever way the World is made; with the last one gone they do not.
func TestTheFirstWhoSigns(t *testing.T) {
	f := &api.Function{Metadata: api.Metadata{Name: "pay"}, Spec: api.FunctionSpec{Access: &api.Access{Consumers: []string{"app"}}}}
	keys := &api.Function{Metadata: api.Metadata{Name: "keys"}, Spec: api.FunctionSpec{Access: &api.Access{Consumers: []string{"app"}, By: []string{api.ByKey}}}}
	app := func(signing ...api.Secret) []*api.Consumer {
		return []*api.Consumer{{Metadata: api.Metadata{Name: "app"}, Spec: api.ConsumerSpec{Signing: signing}}}
	}
	for _, touched := range []map[string]bool{nil, {}} {
		in := Input{Set: api.Set{Functions: []*api.Function{keys, f}, Consumers: app()}}
		for i, signing := range [][]api.Secret{nil, {"a secret"}, {"a secret"}, nil} {
			in.Set.Consumers = app(signing...)
			w := Build(in)
			if got := w.Function("pay").Access.Signed; got != (len(signing) > 0) || w.Function("keys").Access.Signed {
				t.Errorf("step %d: pay asks about signatures: %v", i, got)
			}
			if in.Previous != nil && i == 1 && (w.Function("pay").Resembles(in.Previous.Function("pay")) || w.Function("keys") != in.Previous.Function("keys")) {
				t.Errorf("step %d: the change is not seen, or one that is none", i)
			}
			in.Previous, in.Touched = w, touched
		}
	}
}
