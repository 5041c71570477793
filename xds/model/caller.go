package model

import (
	"math"
	"slices"
	"strconv"

	"github.com/kongdao/kongdao/api"
)

// CallerSlots is how many caller limits a request can meet.
const CallerSlots = api.MaxCallerLimits

// CallerLimit is a rate that every caller of a function is held to on its own.
type CallerLimit struct {
	api.NamedLimit
	// Size is the bucket of one caller at one gateway.
	Size Size
	// Cost is what one request takes of it, in millionths of a second.
	Cost uint32
}

// Burst is how many requests a caller may send at once to one gateway.
func (l CallerLimit) Burst() int { return int(l.Size.Tokens / max(l.Cost, 1)) }

// Size is the size of a caller's bucket. As those of functions, these buckets
// belong to the listener: there is a fixed choice.
type Size struct {
	Key    string
	Tokens uint32 // TokensPerSecond flow in each second
}

// Sizes of callers' buckets grow by the fourth root of two, from a sixteenth of a
// second to 1024 seconds: a burst is never less than was asked for, and at most 19 %
// more.
func Sizes() []Size { return slices.Clone(callerSizes) }

var callerSizes = makeSizes()

func makeSizes() []Size {
	const smallest, steps = TokensPerSecond / 16, 57
	sizes := make([]Size, steps)
	for i := range sizes {
		sizes[i] = Size{"s" + strconv.Itoa(i), uint32(smallest * math.Pow(2, float64(i)/4))}
	}
	return sizes
}

// callerLimit is a limit as gateways, which share it evenly, are to hold it.
func callerLimit(l api.NamedLimit, gateways int) CallerLimit {
	rate := float64(l.Rate)
	burst := float64(l.CallerLimit.Burst)
	if burst == 0 {
		burst = math.Max(math.Floor(rate), 1)
	}
	largest := float64(callerSizes[len(callerSizes)-1].Tokens)
	price := math.Min(math.Ceil(TokensPerSecond*float64(gateways)/rate), largest)
	want := math.Min(math.Max(math.Ceil(TokensPerSecond/rate)*burst, price), largest)
	i := slices.IndexFunc(callerSizes, func(s Size) bool { return float64(s.Tokens) >= want })
	return CallerLimit{NamedLimit: l, Size: callerSizes[i], Cost: uint32(price)}
}

// callers resolves the caller limits that hold for a function, which these gateways
// share.
func (b *builder) callers(spec *api.Function, shared *Fleet) []CallerLimit {
	var all []CallerLimit
	for _, l := range b.in.Set.LimitsOf(spec) {
		if l.Rate > 0 && len(all) < CallerSlots {
			all = append(all, callerLimit(l, max(shared.Gateways, 1)))
		}
	}
	return all
}
