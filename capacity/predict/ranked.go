package predict

import (
	"math"
	"slices"
)

// Of the bits of a float so few are left out that numbers which share the others are
// within 0.8 % of each other.
const leftOut = 45

// mostGroups bounds what a count of groups may take.
const mostGroups = 1 << 16

// ranked are the values that would be at some ranks, from 0, if all were sorted. None
// is negative. Only those that are near a rank's value are sorted, which takes a tenth
// of the time.
func ranked(values []float64, ranks ...int) []float64 {
	group := func(v float64) int { return int(math.Float64bits(v) >> leftOut) } // rises with v
	first, last := math.MaxInt, 0
	for _, v := range values {
		g := group(v)
		first, last = min(first, g), max(last, g)
	}
	size := last - first + 1
	out := make([]float64, len(ranks))
	if size > mostGroups {
		sorted := slices.Sorted(slices.Values(values))
		for i, k := range ranks {
			out[i] = sorted[k]
		}
		return out
	}
	count := make([]int, size)
	for _, v := range values {
		count[group(v)-first]++
	}
	slot := make([]int, size) // of the groups that have a rank, from 1
	var near [][]float64
	groups, less := make([]int, len(ranks)), make([]int, len(ranks))
	for i, k := range ranks {
		g := 0
		for ; less[i]+count[g] <= k; g++ {
			less[i] += count[g]
		}
		if slot[g] == 0 {
			near = append(near, make([]float64, 0, count[g]))
			slot[g] = len(near)
		}
		groups[i] = slot[g] - 1
	}
	for _, v := range values {
		if n := slot[group(v)-first]; n > 0 {
			near[n-1] = append(near[n-1], v)
		}
	}
	for _, all := range near {
		slices.Sort(all)
	}
	for i, k := range ranks {
		out[i] = near[groups[i]][k-less[i]]
	}
	return out
}
