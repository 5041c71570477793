package queue_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kongdao/kongdao/internal/queue"
)

// erlang is the probability of waiting at c places with load a.
func erlang(c int, a float64) float64 {
	b := 1.0
	for n := 1; n <= c; n++ {
		b = a * b / (float64(n) + a*b)
	}
	rho := a / float64(c)
	return b / (1 - rho*(1-b))
}

// waits are those of requests that come by chance, one a second.
func waits(places int, hold func(*rand.Rand) float64) (all []float64) {
	r := rand.New(rand.NewPCG(1, 1))
	l, now := queue.NewLine(places, 0), 0.0
	for range 1_000_000 {
		now += r.ExpFloat64()
		all = append(all, l.Serve(now, hold(r))-now)
	}
	return all
}

func mean(all []float64) (m float64) {
	for _, v := range all {
		m += v / float64(len(all))
	}
	return m
}

// TestFormulas: what is known of queues in the long run comes out. M/M/c waits with
// Erlang's probability, exponentially; M/G/1 by Pollaczek and Khinchine.
func TestFormulas(t *testing.T) {
	for _, c := range []int{1, 2, 4, 16} {
		const load = 0.8
		all := waits(c, func(r *rand.Rand) float64 { return load * float64(c) * r.ExpFloat64() })
		waited := slices.DeleteFunc(slices.Clone(all), func(w float64) bool { return w <= 0 })
		want := erlang(c, load*float64(c))
		if got := float64(len(waited)) / float64(len(all)); math.Abs(got/want-1) > 0.03 {
			t.Errorf("M/M/%d: %.3f wait, want %.3f", c, got, want)
		}
		if got, want := mean(waited), load/(1-load); math.Abs(got/want-1) > 0.06 { // 1/(cμ-λ), λ = 1
			t.Errorf("M/M/%d: those that wait do so for %.3f, want %.3f", c, got, want)
		}
	}
	for _, cv := range []float64{0, 0.5, 1.5} {
		s2 := math.Log(1 + cv*cv)
		all := waits(1, func(r *rand.Rand) float64 { return 0.7 * math.Exp(math.Sqrt(s2)*r.NormFloat64()-s2/2) })
		want := 0.7 * 0.7 * (1 + cv*cv) / 2 / (1 - 0.7)
		if got := mean(all); math.Abs(got/want-1) > 0.06 {
			t.Errorf("M/G/1, variation %.1f: mean wait %.3f, want %.3f", cv, got, want)
		}
	}
}

// TestFirstComeFirstServed holds the heap against a plain list of places.
func TestFirstComeFirstServed(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, places := range []int{1, 2, 3, 7, 40} {
		l, free, now := queue.NewLine(places, 5), make([]float64, places), 5.0
		for i := range free {
			free[i] = 5
		}
		for n := range 5000 {
			now += r.ExpFloat64()
			hold := r.ExpFloat64() * float64(places)
			i := slices.Index(free, slices.Min(free))
			want := max(now, free[i])
			free[i] = want + hold
			if got := l.Serve(now, hold); got != want {
				t.Fatalf("%d places, request %d: begins at %v, want %v", places, n, got, want)
			}
		}
	}
}
