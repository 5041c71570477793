package scenario

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// DefaultCanary is how long the first phase of a run takes that goes to other machines.
const DefaultCanary = 5 * time.Second

// CanaryPhase is how long the plan's first phase takes: as the scenario says, else
// [DefaultCanary] where a target may be another machine than this. 0: there is none.
func (p Plan) CanaryPhase() time.Duration {
	switch c := p.spec.Canary; {
	case c.Off:
		return 0
	case c.Phase > 0:
		return c.Phase.Std()
	}
	for _, h := range p.Hosts() {
		if !loopback(h) {
			return DefaultCanary
		}
	}
	return 0
}

func loopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// canaryShare is the rate of the first phase, as a part of the plan's highest.
const canaryShare = 0.01

// Canary is a plan for the first phase: the same requests at a hundredth of the highest
// rate, one a second for each generator at least; never above the cap.
type Canary struct {
	plan    Plan
	Rate    float64 // moments a second
	Length  time.Duration
	Workers int
}

// Canary is the plan's first phase, for so many generators.
func (p Plan) Canary(d time.Duration, generators int) Canary {
	peak := 0.0
	for _, parts := range p.streams() {
		if own := parts[0]; own.Share == 0 {
			peak += own.Stages.MaxRate()
		} else {
			peak += p.Stages.MaxRate()
		}
	}
	generators = max(1, generators)
	rate := min(max(canaryShare*peak, float64(generators)), p.limits.MaxRate)
	// Few workers, so that most requests find a connection, but at least four times those
	// that the run has for its rate: an answer that is slow waits for none here.
	workers := min(max(p.Workers, generators), max(2*generators, int(rate/2), int(4*canaryShare*float64(p.Workers))))
	return Canary{plan: p, Rate: rate, Length: d, Workers: workers}
}

// Pacer plans evenly, for the streams of the plan in turn.
func (c Canary) Pacer() vegeta.Pacer {
	return &inTurn{Pacer: attack.Constant(c.Rate, c.Length), streams: len(c.plan.streams())}
}

// Sender is [Plan.Sender] with values and rows of data files that the run itself will
// not use.
func (c Canary) Sender(ctx context.Context, run string, seed uint64, share attack.Share, m *attack.Meter) (attack.Sender, error) {
	f, err := c.plan.config(run, ^seed, share, m)
	if err != nil {
		return nil, err
	}
	f.First = 2*c.plan.Total() + 1000 // of Poisson arrivals there may be more than planned
	for i := range f.Feeds {
		f.FirstRows = append(f.FirstRows, c.plan.rowsNeeded(i))
	}
	return c.plan.flow(ctx, f)
}

type inTurn struct {
	vegeta.Pacer
	streams, at int
}

func (t *inTurn) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	t.at = int(hits % uint64(t.streams))
	return t.Pacer.Pace(elapsed, hits)
}

// Stream is the one that the last request belongs to.
func (t *inTurn) Stream() int { return t.at }
