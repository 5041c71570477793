package tally

import (
	"math"
	"math/bits"
	"slices"
	"sort"
)

// schema is the resolution of the native histograms: eight buckets for each power
// of two, hence 9 % wide.
const schema = 3

// classic are the upper bounds of the buckets for scrapers that know no native
// ones, in seconds.
var classic = [...]float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2.5, 5, 10, 30}

// grid divides all durations into cells, so fine that each bucket, native or
// classic, is made of whole cells. A call is counted in one cell.
type grid struct {
	upper  []uint32 // the longest duration of each cell, microseconds
	native []int    // the native bucket that the cell belongs to; cell 0 is the zero bucket
	start  [slots]uint16
}

// slots are sixteen single microseconds, then eight parts of each power of two.
const slots = 16 + 8*28

func newGrid() *grid {
	g := &grid{upper: []uint32{0}}
	for key := nativeKey(1e-6); ; key++ {
		us, last := longest(nativeBound(key))
		g.upper = append(g.upper, us)
		if last {
			break
		}
	}
	for _, bound := range classic {
		us, _ := longest(bound)
		g.upper = append(g.upper, us)
	}
	slices.Sort(g.upper)
	g.upper = slices.Compact(g.upper)
	g.native = make([]int, len(g.upper))
	for i, us := range g.upper[1:] {
		g.native[i+1] = nativeKey(float64(us) / 1e6)
	}
	for s := range g.start {
		least := uint32(s)
		if s >= 16 {
			least = uint32(8+s%8) << (s/8 - 1)
		}
		g.start[s] = uint16(sort.Search(len(g.upper), func(i int) bool { return g.upper[i] >= least }))
	}
	return g
}

// cell is the cell of a duration in microseconds.
func (g *grid) cell(us uint32) int {
	s := int(us)
	if us >= 16 {
		n := bits.Len32(us) - 4
		s = n*8 + int(us>>n)
	}
	c := int(g.start[s])
	for g.upper[c] < us {
		c++
	}
	return c
}

// longest is the longest duration in whole microseconds that is not above a bound
// in seconds, and whether that is the longest there is.
func longest(bound float64) (us uint32, last bool) {
	n := math.Floor(bound * 1e6)
	for (n+1)/1e6 <= bound {
		n++
	}
	for n/1e6 > bound {
		n--
	}
	if n >= math.MaxUint32 {
		return math.MaxUint32, true
	}
	return uint32(n), false
}

// nativeKey is the native bucket of a value above 0: bucket k holds what is above
// 2^((k-1)/8) and up to 2^(k/8).
func nativeKey(v float64) int {
	const parts = 1 << schema
	fraction, exponent := math.Frexp(v)
	return sort.Search(parts, func(i int) bool { return mantissa(i) >= fraction }) + (exponent-1)*parts
}

// nativeBound is the upper bound of a native bucket, in seconds.
func nativeBound(key int) float64 {
	const parts = 1 << schema
	return math.Ldexp(mantissa(key&(parts-1)), (key>>schema)+1)
}

func mantissa(i int) float64 { return math.Exp2(float64(i)/(1<<schema) - 1) }
