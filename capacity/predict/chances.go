package predict

import (
	"math/rand/v2"
	"sync"
)

// chances are what simulations draw: when calls come at one a second, and which entry
// of a law's table each one's service time is. All simulations of a curve have the same
// ones, which are drawn once. The zero value is ready; safe for concurrent use.
type chances struct {
	mu    sync.Mutex
	all   map[[2]int]*drawn // by dealers and pods
	spare [][]float64       // room for durations
}

type drawn struct {
	at      []float64
	service []uint16
}

// of are at least so many calls. What is returned does not change.
func (c *chances) of(dealers, pods, calls int) drawn {
	if dealers <= 0 || dealers > manyDealers || pods < 2 {
		dealers, pods = 1, 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]int{dealers, pods}
	if d := c.all[key]; d != nil && len(d.at) >= calls {
		return *d
	}
	d := draw(dealers, pods, calls)
	if c.all == nil {
		c.all = map[[2]int]*drawn{}
	}
	c.all[key] = &d
	return d
}

// draw begins with the same calls, however many there are.
func draw(dealers, pods, calls int) drawn {
	r := rand.New(rand.NewPCG(1, 2))
	from := newArrivals(r, dealers, pods)
	d := drawn{make([]float64, calls), make([]uint16, calls)}
	for n := range calls {
		d.at[n] = from.next()
		d.service[n] = uint16(r.Uint32() >> 19)
	}
	return d
}

// room is for so many durations; done gives it back.
func (c *chances) room(calls int) []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.spare {
		if cap(s) >= calls {
			c.spare = append(c.spare[:i], c.spare[i+1:]...)
			return s[:0]
		}
	}
	return make([]float64, 0, calls)
}

func (c *chances) done(room []float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare = append(c.spare, room)
}
