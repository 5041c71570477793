package xds

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// TestManyNewAndChangedRoutesLoseNothing adds routes one by one and changes a live
// route again and again, under load, with the canary Envoy that users have. What is
// live answers, from its first moment.
func TestManyNewAndChangedRoutesLoseNothing(t *testing.T) {
	got := churnUnderLoad(t, 150, 100, 300)
	t.Logf("%d requests: %v, errors %d", got.sent, got.status, len(got.errs))
	if len(got.errs) > 0 || len(got.status) != 1 || got.status[200] == 0 {
		t.Errorf("lost requests: %v %v", got.status, got.errs)
	}
}

// BenchmarkChurn is the same in full size: 3,000 routes added, and one live route
// changed 1,000 times.
func BenchmarkChurn(b *testing.B) {
	for b.Loop() {
		begin := time.Now()
		got := churnUnderLoad(b, 3000, 1000, 500)
		b.ReportMetric(time.Since(begin).Seconds()*1000/4000, "ms/change")
		b.ReportMetric(float64(got.sent), "requests")
		b.ReportMetric(float64(got.sent-got.status[200]), "lost")
	}
}

// churnUnderLoad waits for each change to be live before it makes the next one.
func churnUnderLoad(t testing.TB, added, changed int, rate float64) *load {
	a, b := newPod(t, "a", "z"), newPod(t, "b", "z")
	live := function("live", "/live", a, b)
	r := newRig(t, functions(live), withCanary(t))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make(chan *load, 2)
	go func() { results <- r.offer(ctx, rate, "any", "/live") }()
	newest := newNewest()
	go func() { results <- newest.ask(ctx, r, rate/4) }()
	set := []*api.Function{live}
	change := func(i int) {
		f := *live
		f.Spec.Timeout = api.Duration(10*time.Second + time.Duration(i)*time.Millisecond)
		f.Spec.Routes = slices.Clone(f.Spec.Routes)
		f.Spec.Routes[0].RequestHeaders = api.HeaderChanges{Set: map[string]string{"x-version": fmt.Sprint(i)}}
		set = slices.Clone(set)
		set[0] = &f
	}
	for i := range max(added, changed) {
		if i < changed {
			change(i)
			r.apply(functions(set...))
		}
		if i < added {
			f := function(fmt.Sprintf("new%04d", i), "/", a)
			f.Spec.Revisions[0].Endpoints = nil // Envoy would check the health of all
			f.Spec.Routes[0].Hosts = []string{fmt.Sprintf("n%04d.example.com", i)}
			f.Spec.Routes[0].Respond = &api.Respond{Status: 200, Body: "new"}
			set = append(slices.Clone(set), f)
			r.apply(functions(set...))
		}
		r.live()
		if i < added {
			newest.set(fmt.Sprintf("n%04d.example.com", i))
		}
	}
	cancel()
	all, more := <-results, <-results
	for status, n := range more.status {
		all.status[status] += n
	}
	all.errs, all.sent = append(all.errs, more.errs...), all.sent+more.sent
	return all
}

// newest is the host that was added last.
type newest struct{ host chan string }

func newNewest() newest { return newest{make(chan string, 1)} }

func (n newest) set(host string) {
	select {
	case <-n.host:
	default:
	}
	n.host <- host
}

// ask calls it until ctx ends.
func (n newest) ask(ctx context.Context, r *rig, rate float64) *load {
	l := &load{status: map[int]int{}}
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	host := "any"
	path := "/live"
	for {
		select {
		case <-ctx.Done():
			return l
		case host = <-n.host:
			path = "/"
		case <-tick.C:
			a, err := r.try("GET", host, path)
			l.add(a.status, err)
		}
	}
}
