package live

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/kongdao/kongdao/capacity/objective"
	"github.com/kongdao/kongdao/capacity/search"
)

const (
	// look is how often production is looked at.
	look = 150 * time.Millisecond
	// stride is the largest step of a factor; larger ones are made of several.
	stride = 1.2
	// between is how long each of those lasts.
	between = 500 * time.Millisecond
	// standing is how long the pod is looked at first, and patience how long at most.
	standing, patience = 5 * time.Second, 30 * time.Second
	// fewOwn calls of the pod tell its rate.
	fewOwn = 100
	// recovery is how long production may take to be well again once the pod has no more
	// than its share. What is late now began before.
	recovery = 15 * time.Second
	// unheard is how many calls a pod should have had before it is taken to be cut off.
	unheard = 25.0
	// notAgain is the part of a factor that others suffered from, or that gateways took
	// the pod out at, which is not gone beyond again.
	notAgain = 0.93
)

// finder is one search.
type finder struct {
	config Config
	system System
	meter  *meter

	factor float64 // in force
	most   float64 // at most
	odds   float64 // of the pod at its share
	seen   struct{ own, others float64 }
	silent float64 // calls of the others since the pod's last
	missed int64

	looked time.Time // at production, last
	back   time.Time // when the pod had its share again, last
	tried  float64   // factor of the last step

	kept    bool // some step was
	even    int  // steps at the pod's share that were not
	retried float64
}

// stand finds out how the pod stands without any help.
func (x *finder) stand(ctx context.Context) (Standing, error) {
	if err := x.lift(ctx, 1); err != nil {
		return Standing{}, err
	}
	if err := x.settle(ctx, x.config.Lag); err != nil {
		return Standing{}, err
	}
	x.retried = 0
	for began := time.Now(); time.Since(began) < patience; {
		if err := x.listen(ctx, nil); err != nil {
			return Standing{}, err
		}
		if time.Since(began) >= standing && x.meter.own >= fewOwn {
			break
		}
	}
	share := x.meter.share()
	s := Standing{Traffic: x.meter.traffic(time.Now())}
	s.Rate = share * s.Traffic
	if share <= 0 || share >= 1 {
		return s, fmt.Errorf("%w: the pod has %.0f of %.0f calls in %v: no share to raise", ErrNotNow, x.meter.own, x.meter.all, patience)
	}
	x.learn()
	s.Highest = s.Traffic * part(x.odds*x.config.MaxFactor)
	if x.config.MaxRate > 0 {
		s.Highest = min(s.Highest, x.config.MaxRate)
	}
	if s.Highest < s.Rate {
		return s, fmt.Errorf("%w: the pod has %.1f/s already, more than the highest rate of %.1f/s", ErrNotNow, s.Rate, s.Highest)
	}
	if need := 8 / allowed(x.config.Objective); s.Highest*x.config.Budget.Seconds() < need {
		return s, fmt.Errorf("%w: the pod has %.1f/s and can be given %.1f/s: in %v too few calls to show %s", ErrNotNow, s.Rate, s.Highest, x.config.Budget, x.config.Objective)
	}
	if x.retried > 3 && x.retried > mayFail(x.config.Objective)*x.meter.all {
		return s, fmt.Errorf("%w: %.0f of %.0f calls needed more than one try: nobody can tell whose fault that is", ErrNotNow, x.retried, x.meter.all)
	}
	return s, nil
}

// mayFail is the share of calls that may fail.
func mayFail(o search.Objective) float64 {
	if o.Success > 0 {
		return 1 - o.Success
	}
	return allowed(o)
}

func part(odds float64) float64 { return odds / (1 + odds) }

// learn takes the window's calls, all at one factor, for the odds of the pod.
func (x *finder) learn() {
	if x.meter.own < fewOwn || x.meter.all == x.meter.own {
		return
	}
	const fade = 0.8 // pods come and go
	x.seen.own = fade*x.seen.own + x.meter.own
	x.seen.others = fade*x.seen.others + x.factor*(x.meter.all-x.meter.own)
	x.odds = x.seen.own / x.seen.others
}

// judged notes how a step ended.
func (x *finder) judged(s search.StepResult) {
	switch {
	case s.Kept:
		x.kept = true
	case s.Invalid == "" && x.tried <= 1:
		x.even++
	}
}

// probe gives the pod a rate for a time.
func (x *finder) probe(ctx context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (search.Outcome, error) {
	if !x.kept && x.even > 1 {
		return search.Outcome{}, fmt.Errorf("%w: the pod breaks %s with no more than its share: nothing can be raised", ErrNotNow, x.config.Objective)
	}
	early, reached := x.aim(ctx, rate)
	x.tried = x.factor
	x.meter.mark()
	began, missed, stopped := time.Now(), x.missed, false
	each := func(c Call) {
		if late, ok, counts := x.of(c); counts && !stopped {
			for range max(c.Weight, 1) {
				stopped = stopped || observe(late, ok)
			}
		}
	}
	for _, c := range early {
		each(c)
	}
	err := reached
	for err == nil && !stopped && time.Since(began) < d {
		err = x.listen(ctx, each)
	}
	return x.ended(ctx, search.Outcome{Elapsed: max(time.Since(began), time.Millisecond), Rate: x.rate(rate)}, stopped, x.missed > missed, err)
}

// ended takes the share back where that is called for.
func (x *finder) ended(ctx context.Context, o search.Outcome, stopped, missed bool, err error) (search.Outcome, error) {
	var b *broke
	switch {
	case errors.As(err, &b):
		o.Broke = b.why
	case err != nil:
		return o, err
	}
	if missed {
		o.Invalid = "not all calls were seen"
	}
	x.learn()
	if o.Broke != "" { // not again
		x.most = max(1, min(x.most, notAgain*x.factor))
	}
	if !stopped && o.Broke == "" {
		return o, nil
	}
	return o, x.giveBack(ctx)
}

// rate is what the pod had in the window.
func (x *finder) rate(wanted float64) float64 {
	traffic := x.meter.traffic(time.Now())
	if traffic <= 0 {
		return wanted
	}
	if share := x.meter.share(); share > 0 {
		return share * traffic
	}
	return traffic * part(x.odds*x.tried)
}

// of says what a call tells of the pod. One that was tried again elsewhere may have
// failed here, and is taken for that; one that failed elsewhere first says nothing.
func (x *finder) of(c Call) (late time.Duration, ok, counts bool) {
	switch own := c.Pod == x.config.Pod; {
	case own && c.Tries < 2:
		return c.Latency, c.OK, true
	case !own && c.Tries > 1:
		return c.Latency, false, true
	}
	return 0, false, false
}

// aim gives the pod the share that makes a rate, in strides, and waits until that
// shows. When the pod's calls are bad before, it ends early with them.
func (x *finder) aim(ctx context.Context, rate float64) (early []Call, err error) {
	traffic := x.meter.traffic(time.Now())
	if traffic <= 0 {
		return nil, fmt.Errorf("%w: there are no calls any more", ErrNotNow)
	}
	factor := x.most
	if want := rate / traffic; want < part(x.odds*factor) {
		factor = max(want/(1-want)/x.odds, 1)
	}
	if math.Abs(factor/x.factor-1) < 0.005 {
		return nil, nil
	}
	if factor > x.factor {
		if err := x.well(ctx); err != nil {
			return nil, err
		}
	}
	for factor > stride*x.factor {
		if err := x.lift(ctx, stride*x.factor); err != nil {
			return nil, err
		}
		if early, err := x.watch(ctx, between); err != nil || early != nil {
			return early, err
		}
	}
	if err := x.lift(ctx, factor); err != nil {
		return nil, err
	}
	return x.watch(ctx, x.config.Lag)
}

// watch waits until a new share shows, unless the pod's calls are bad at once: then it
// returns them.
func (x *finder) watch(ctx context.Context, d time.Duration) (early []Call, err error) {
	strictest := x.config.Objective.Latency[0]
	for _, b := range x.config.Objective.Latency {
		if b.Quantile > strictest.Quantile {
			strictest = b
		}
	}
	bound := objective.Bound{Failed: mayFail(x.config.Objective), Latency: strictest.Limit, Slow: 1 - strictest.Quantile}
	var own []Call
	var n objective.Count
	for began := time.Now(); time.Since(began) < d; {
		err := x.listen(ctx, func(c Call) {
			late, ok, counts := x.of(c)
			if !counts {
				return
			}
			w := uint64(max(c.Weight, 1))
			own, n.Calls = append(own, c), n.Calls+w
			switch {
			case !ok:
				n.Failed += w
			case late > strictest.Limit:
				n.Slow += w
			}
		})
		if err != nil {
			return nil, err
		}
		if bound.Broken(n) != "" {
			return own, nil
		}
	}
	return nil, nil
}

func (x *finder) lift(ctx context.Context, factor float64) error {
	if err := x.system.Lift(ctx, factor); err != nil {
		return err
	}
	x.factor = factor
	return nil
}

// settle listens while nothing is judged but production.
func (x *finder) settle(ctx context.Context, d time.Duration) error {
	for began := time.Now(); time.Since(began) < d; {
		if err := x.listen(ctx, nil); err != nil {
			return err
		}
	}
	x.meter.mark()
	return nil
}

// broke is for what shows that the pod has too much.
type broke struct{ why string }

func (b *broke) Error() string { return b.why }

// listen takes in the calls of a moment, and looks whether all may go on.
func (x *finder) listen(ctx context.Context, each func(Call)) error {
	if err := x.hear(ctx, each); err != nil {
		return err
	}
	if err := x.system.Clear(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotNow, err)
	}
	if err := x.production(ctx); err != nil {
		return err
	}
	if expected := x.silent * x.odds * min(x.factor, 1); expected > unheard {
		return &broke{fmt.Sprintf("gateways gave the pod no call while it should have had %.0f: they have taken it out", expected)}
	}
	return nil
}

// production is looked at from time to time.
func (x *finder) production(ctx context.Context) error {
	if time.Since(x.looked) < look {
		return nil
	}
	x.looked = time.Now()
	err := x.system.Production(ctx)
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case x.factor > 1:
		return &broke{"production broke its objective: " + err.Error()}
	case time.Since(x.back) < recovery:
		return nil
	}
	return fmt.Errorf("%w: production breaks its objective: %w", ErrNotNow, err)
}

// hear is listen without any judgement.
func (x *finder) hear(ctx context.Context, each func(Call)) error {
	moment, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	calls, missed, err := x.system.Calls(moment)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	x.missed += missed
	now, any := time.Now(), false
	for _, c := range calls {
		own := c.Pod == x.config.Pod
		x.meter.add(c, own, now)
		x.silent += float64(max(c.Weight, 1))
		any = any || own
		if c.Tries > 1 {
			x.retried += float64(max(c.Weight, 1))
		}
		if each != nil {
			each(c)
		}
	}
	if any { // calls that come together are in no order
		x.silent = 0
	}
	return nil
}

// giveBack gives the pod its share at once, and waits until what was too much shows no
// more.
func (x *finder) giveBack(ctx context.Context) error {
	if err := x.lift(ctx, 1); err != nil {
		return err
	}
	x.back = time.Now()
	for time.Since(x.back) < x.config.Lag {
		if err := x.hear(ctx, nil); err != nil {
			return err
		}
	}
	x.silent = 0
	x.meter.mark()
	return nil
}

// well waits until production is: before that nothing is raised.
func (x *finder) well(ctx context.Context) error {
	for began := time.Now(); ; {
		err := x.system.Production(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return ctx.Err()
		case time.Since(began) > recovery:
			return fmt.Errorf("%w: production breaks its objective with the pod at its share, too: %w", ErrNotNow, err)
		}
		if err := x.hear(ctx, nil); err != nil {
			return err
		}
	}
}
