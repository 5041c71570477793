package translate

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// steps changes one function after the other, and translates each change as the
// control plane does: a World out of the one before, what differs, and the bytes of
// what gateways get.
type steps struct {
	t      testing.TB
	c      Config
	in     model.Input
	shards map[string][]byte
	serial int
}

func newSteps(t testing.TB, functions int) *steps {
	t.Helper()
	s := &steps{t: t, c: Config{Address: "127.0.0.1", Port: 9000, Shards: 256}, shards: map[string][]byte{}}
	s.in = model.Input{Ready: map[string]bool{}, Fleet: &model.Fleet{Gateways: 1}}
	for i := range functions {
		f := &api.Function{Metadata: api.Metadata{Name: fmt.Sprintf("f%05d", i)}}
		f.Spec.Routes = []api.Route{{Hosts: []string{fmt.Sprintf("h%05d.example.com", i)}, Path: "/*"}}
		rev := api.Revision{Name: "r1"}
		for p := range 6 {
			rev.Endpoints = append(rev.Endpoints, api.Endpoint{Address: fmt.Sprintf("10.%d.%d.%d:8080", p, i/250, i%250), Zone: fmt.Sprint("z", p%3)})
		}
		f.Spec.Revisions, f.Spec.Access = []api.Revision{rev}, &api.Access{Public: true}
		f.Spec.Capacity.PerPodQPS = 100
		s.in.Set.Functions = append(s.in.Set.Functions, f)
	}
	s.publish()
	return s
}

// route changes one function's route, and pod the readiness of one of its pods.
func (s *steps) route() {
	i := s.next()
	f := *s.in.Set.Functions[i]
	f.Spec.Timeout = api.Duration(time.Duration(s.serial) * time.Millisecond)
	s.in.Set.Functions = append([]*api.Function(nil), s.in.Set.Functions...)
	s.in.Set.Functions[i] = &f
	s.publish()
}

func (s *steps) pod() {
	address := s.in.Set.Functions[s.next()].Spec.Revisions[0].Endpoints[0].Address
	s.in.Ready[address] = !s.in.Ready[address]
	s.in.Touched[address] = true
	s.publish()
}

func (s *steps) next() int {
	s.serial++
	return s.serial * 7919 % len(s.in.Set.Functions)
}

func (s *steps) publish() {
	w := model.Build(s.in)
	d, err := Changes(s.c, s.in.Previous, w)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, p := range d.Patches {
		if s.shards[name], err = p.Apply(s.shards[name]); err != nil {
			s.t.Fatal(err)
		}
	}
	for name, c := range d.Routes {
		s.shards[name] = marshalled(s.t, c)
	}
	for _, c := range d.Clusters {
		marshalled(s.t, c)
	}
	for _, a := range d.Endpoints {
		marshalled(s.t, a)
	}
	s.in.Previous, s.in.Touched = w, map[string]bool{}
}

func marshalled(t testing.TB, m proto.Message) []byte {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestAChangeCostsWhatItChanges counts allocations: ten times the functions must
// not make a change dearer. A part of an index is a map, whose copy takes some more
// when it is fuller.
func TestAChangeCostsWhatItChanges(t *testing.T) {
	few, many := newSteps(t, 1000), newSteps(t, 10_000)
	for what, change := range map[string]func(*steps) func(){
		"a route": func(s *steps) func() { return s.route },
		"a pod":   func(s *steps) func() { return s.pod },
	} {
		a, b := testing.AllocsPerRun(200, change(few)), testing.AllocsPerRun(200, change(many))
		t.Logf("%s changed: %.0f allocations among 1,000 functions, %.0f among 10,000", what, a, b)
		if b > 1.1*a+20 {
			t.Errorf("%s changed: %.0f allocations among 10,000 functions, %.0f among 1,000", what, b, a)
		}
	}
}

// BenchmarkChange is the translation of one change among many functions, beside
// that of everything, which is the peers' way.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		s := newSteps(b, n)
		for what, change := range map[string]func(){"route": s.route, "pod": s.pod, "everything": func() {
			s.in.Previous = nil
			s.publish()
		}} {
			b.Run(fmt.Sprintf("functions=%d/%s", n, what), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					change()
				}
				b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/change")
			})
		}
	}
}
