package search

import (
	"fmt"
	"math"
	"time"
)

// verdict is what a probe has shown.
type verdict int

const (
	undecided verdict = iota
	kept              // the objective was kept; in a proof: with confidence
	broken            // it was broken; in a proof: or can no longer be shown to be kept
)

// Constants of the tests, chosen on simulated pods with known limits.
const (
	// surely is how many standard errors of independent requests the bad share must
	// be above the allowed one before a probe is cut short. Late requests come in
	// bursts with about 12 times that variance, so this is less than one of the true
	// errors: enough for a test that can only err on the side of caution.
	surely = 3
	// quiteSurely is that of a visit close to the limit: one that was cut short in a
	// burst of what is allowed would make the limit look lower.
	quiteSurely = 6
	// confidence is the number of standard errors, bursts included, by which a rate
	// must keep its objective. It is 1 because margin adds its own.
	confidence = 1.0
	// unseen is the size of the burst that a probe without any late request may
	// just have been spared. It sets how long a proof is at least:
	// confidence·unseen/allowed requests, 800 for a p99.
	unseen = 8.0
	// byChance is the number of standard errors above the allowed count that a climb
	// step may end with.
	byChance = 1.0
	// fewest is the number of requests below which no probe is cut short, and every
	// how often it is looked at.
	fewest, every = 100, 25
	// chance is the number of bad requests that may have been one burst: a climb
	// step that broke with fewer is tried once more.
	chance = 8
	// aFlood is the number of requests of which more than half may not be bad.
	aFlood = 50
	// blockSeconds is how long a block of requests is, by which their bursts are
	// measured.
	blockSeconds = 2.0
)

// criterion is one promise of the objective and how it fares.
type criterion struct {
	name    string
	allowed float64                          // share of requests that may be bad
	bad     func(latency time.Duration) bool // besides requests that failed
	apart   int                              // good requests between two bursts, at least
	single  bool                             // faults that come one by one: judged by their share, one always allowed
	n       int                              // requests
	count   int                              // bad ones
	size    int                              // of the current burst
	squares float64                          // Σ size² of past bursts
	good    int                              // requests since the last bad one

	blocks []tally // of the probe, of equal numbers of requests
	block  int     // requests of one
}

// begin forgets the requests so far.
func (c *criterion) begin() {
	c.n, c.count, c.size, c.good, c.squares, c.blocks = 0, 0, 0, 0, 0, nil
}

func (c *criterion) observe(latency time.Duration, ok bool) {
	c.n++
	bad := !ok || c.bad(latency)
	c.tally(bad)
	if !bad {
		c.good++
		return
	}
	if c.good >= c.apart {
		c.squares += float64(c.size * c.size)
		c.size = 0
	}
	c.count++
	c.size++
	c.good = 0
}

func (c *criterion) tally(bad bool) {
	if len(c.blocks) == 0 || int(c.blocks[len(c.blocks)-1].n) >= c.block {
		c.blocks = append(c.blocks, tally{})
	}
	b := &c.blocks[len(c.blocks)-1]
	b.n++
	if bad {
		b.bad++
	}
}

// upper bounds the number of bad requests that probes of this length have in the
// long run. Bursts are taken as a compound Poisson process:
//
//	upper = N + z·√(Σ sᵢ² + s₀²)
//
//	where  N   bad requests seen
//	       sᵢ  size of burst i; Σ sᵢ² estimates Var(N) of such a process
//	       s₀  size of a burst that was not seen (unseen)
//	       z   standard errors (confidence)
//
// Where more than a tenth may be bad there are no separate bursts; the variance is
// then taken as 12 times that of independent requests.
func (c *criterion) upper() float64 {
	n := float64(c.count)
	switch {
	case c.single:
		return n - 1
	case c.allowed > 0.1:
		return n + confidence*math.Sqrt(12*n+unseen*unseen)
	}
	return n + confidence*math.Sqrt(c.squares+float64(c.size*c.size)+unseen*unseen)
}

// surelyBroken does not ask for the end of the probe.
func (c *criterion) surelyBroken(surely float64) bool {
	if c.n >= aFlood && 2*c.count > c.n && c.allowed < 0.25 {
		return true
	}
	if c.n < fewest {
		return false
	}
	n := float64(c.n)
	share := float64(c.count) / n
	return share-surely*math.Sqrt(max(share*(1-share), 1e-4)/n) > c.allowed
}

// proven: kept with confidence, given the requests so far.
func (c *criterion) proven() bool {
	return c.n >= fewest && c.upper() <= c.allowed*float64(c.n)
}

// exceeded: a climb step ended with more bad requests than chance explains.
func (c *criterion) exceeded() bool {
	n := float64(c.count)
	return n-byChance*math.Sqrt(n) > c.allowed*float64(c.n)
}

// judge decides a probe from its requests alone.
type judge struct {
	criteria []*criterion
	breaks   func(latency time.Duration, ok bool) bool
	prove    bool
	warmup   int // first requests, which are not judged: the pod still has the last rate's queue
	harm     int // requests that may break the objective before the probe ends
	seen     int // requests, warm-up included
	broke    int // of these, those that broke the objective
	took     *sketch
}

func newJudge(o Objective, s Step) *judge {
	j := &judge{breaks: o.breaks, prove: s.Prove, warmup: int(s.Rate * s.Warmup.Seconds()), harm: s.Harm}
	j.took = newSketch(o.Latency[len(o.Latency)-1].Limit)
	block := max(20, int(s.Rate*blockSeconds))
	for _, b := range o.Latency {
		j.criteria = append(j.criteria, &criterion{
			name:    b.String(),
			allowed: 1 - b.Quantile,
			bad:     func(latency time.Duration) bool { return latency > b.Limit },
			apart:   max(5, int(s.Rate*b.Limit.Seconds())),
			block:   block,
		})
	}
	if o.Success > 0 {
		j.criteria = append(j.criteria, &criterion{
			name:    fmt.Sprintf("success ≥ %g %%", 100*o.Success),
			allowed: 1 - o.Success,
			bad:     func(time.Duration) bool { return false },
			single:  true,
			block:   block,
		})
	}
	return j
}

// observe takes in one request and says whether the probe may end.
func (j *judge) observe(latency time.Duration, ok bool) (stop bool) {
	j.seen++
	if j.breaks(latency, ok) {
		j.broke++
	}
	for _, c := range j.criteria {
		c.observe(latency, ok)
	}
	if ok {
		j.took.observe(latency)
	}
	if j.broke >= j.harm {
		return true
	}
	if j.seen%every != 0 {
		return false
	}
	if j.surelyBroken() {
		return true
	}
	if j.warmup > 0 && j.seen >= j.warmup {
		j.warmup = 0
		for _, c := range j.criteria {
			c.begin()
		}
		j.took = &sketch{unit: j.took.unit}
	}
	return false
}

// verdict judges a probe that has ended.
func (j *judge) verdict() verdict {
	switch {
	case j.surelyBroken():
		return broken
	case j.prove && j.any(func(c *criterion) bool { return !c.proven() }):
		return broken
	case !j.prove && j.any((*criterion).exceeded):
		return broken
	}
	return kept
}

func (j *judge) surelyBroken() bool {
	level := float64(surely)
	if j.prove {
		level = quiteSurely
	}
	return j.any(func(c *criterion) bool { return c.surelyBroken(level) })
}

// near says that a good part of the allowed bad requests is used up.
func (j *judge) near() bool {
	return j.any(func(c *criterion) bool { return float64(c.count) > 0.25*c.allowed*float64(c.n) })
}

// byChance says that all the bad requests may have been one burst.
func (j *judge) byChance() bool {
	return !j.any(func(c *criterion) bool { return !c.single && c.count >= chance })
}

func (j *judge) any(is func(*criterion) bool) bool {
	for _, c := range j.criteria {
		if is(c) {
			return true
		}
	}
	return false
}
