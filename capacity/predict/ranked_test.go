package predict

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRanked: values of ranks are those of a sorted list, also where values are equal,
// sorted already, none at all, or of any size.
func TestRanked(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 3000 {
		v := make([]float64, 1+r.IntN(400))
		for i := range v {
			switch n % 5 {
			case 0:
				v[i] = r.Float64()
			case 1:
				v[i] = float64(r.IntN(5))
			case 2:
				v[i] = float64(i)
			case 3:
				v[i] = 1 + float64((len(v)-i)/3)*1e-9
			case 4:
				v[i] = 1e-300 + 1e300*r.Float64()*float64(r.IntN(2))
			}
		}
		var ranks []int
		for range r.IntN(9) {
			ranks = append(ranks, r.IntN(len(v)))
		}
		want := slices.Sorted(slices.Values(v))
		for i, got := range ranked(v, ranks...) {
			if k := ranks[i]; got != want[k] {
				t.Fatalf("rank %d of %d is %v, want %v", k, len(v), got, want[k])
			}
		}
	}
}
