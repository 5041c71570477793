package live

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/kongdao/kongdao/capacity/search"
)

// Call is one ordinary call of the pod's revision, as the log of the gateways has it.
type Call struct {
	At      time.Time // when it began, by the gateway's clock
	Gateway string
	Pod     string // that had it last
	Latency time.Duration
	OK      bool // the answer was none of 5xx
	Tries   int
	Weight  int // calls that it stands for; 0 is 1
}

// System is the running system as a search sees it. One goroutine uses it.
type System struct {
	// Lift gives the pod factor times its share. It returns when gateways have it, or
	// when that takes too long.
	Lift func(ctx context.Context, factor float64) error
	// Calls waits for calls until ctx ends, which is no error. missed are calls that are
	// not among them although they were made.
	Calls func(ctx context.Context) (calls []Call, missed int64, err error)
	// Production says whether the function breaks its objective, by all its calls.
	Production func(ctx context.Context) error
	// Clear says what is in the way: a release, a drill, too few other pods.
	Clear func() error
}

// Config says what is searched for, and how far it may go.
type Config struct {
	Pod       string
	Objective search.Objective
	Budget    time.Duration
	MaxFactor float64       // of the pod's share
	MaxRate   float64       // never wanted beyond; 0: no bound
	Lag       time.Duration // from the end of a call until it is heard of, at most
}

// Bounds of factors, and the default.
const (
	LeastMaxFactor   = 1.1
	DefaultMaxFactor = 3.0
	MostMaxFactor    = 6.0
)

// LeastBudget is the shortest search.
const LeastBudget = time.Minute

// DefaultLag is that of a gateway's log, which is flushed every second, and of the
// collector, which makes blocks durable twice a second.
const DefaultLag = 2 * time.Second

// Validate reports every field that is wrong.
func (c Config) Validate() error {
	errs := []error{c.Objective.Validate()}
	if c.Pod == "" {
		errs = append(errs, errors.New("pod: missing"))
	}
	if !(c.MaxFactor >= LeastMaxFactor && c.MaxFactor <= MostMaxFactor) {
		errs = append(errs, fmt.Errorf("maxFactor: %g is not in [%g,%g]", c.MaxFactor, LeastMaxFactor, MostMaxFactor))
	}
	if c.Budget < LeastBudget || c.Budget > time.Hour {
		errs = append(errs, fmt.Errorf("budget: %v is not between %v and 1h", c.Budget, LeastBudget))
	}
	if c.MaxRate < 0 {
		errs = append(errs, errors.New("maxRate: must not be negative"))
	}
	if c.Lag <= 0 {
		errs = append(errs, errors.New("lag: must be above 0"))
	}
	return errors.Join(errs...)
}

// ErrNotNow is what every error wraps that says why no live search can be made, or go
// on, at the moment.
var ErrNotNow = errors.New("no live search")

// Reports are told how a search goes; each may be nil.
type Reports struct {
	Begun func(Standing)
	Step  func(search.StepResult)
}

// Standing is how a pod stands before anything is given to it.
type Standing struct {
	Traffic float64 `json:"traffic"` // calls a second of all pods of its revision
	Rate    float64 `json:"rate"`    // of the pod
	Highest float64 `json:"highest"` // that it can be given
}

// Find searches for the pod's safe rate. Whatever happens, the caller gives the pod its
// share back. Together with an error there is what was found so far, without
// conclusion.
func Find(ctx context.Context, c Config, s System, to Reports) (search.Result, error) {
	if err := c.Validate(); err != nil {
		return search.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*c.Budget+2*time.Minute)
	defer cancel()
	x := &finder{config: c, system: s, most: c.MaxFactor, meter: newMeter(c.Objective.Latency[0].Limit)}
	stands, err := x.stand(ctx)
	if err != nil {
		return search.Result{}, err
	}
	if to.Begun != nil {
		to.Begun(stands)
	}
	sc := search.DefaultConfig()
	sc.Objective, sc.Budget = c.Objective, time.Duration(underLoad*float64(c.Budget))
	sc.Start, sc.MaxRate = stands.Rate, stands.Highest
	sc.Factor = climb
	sc.MaxBroken = mayBreak(c, stands, sc.MaxBroken)
	r, err := search.Run(ctx, sc, x.probe, func(step search.StepResult) {
		x.judged(step)
		if to.Step != nil {
			to.Step(step)
		}
	})
	if err != nil {
		return r, err
	}
	x.conclude(&r, stands)
	return r, nil
}

// underLoad is the part of the time that is not spent waiting for a new share to show.
const underLoad = 0.8

// climb is the step of rates. They are users' calls: a fifth too much is more than
// somebody has to wait for.
const climb = 1.12

// mayBreak is how many of users' calls may be late or fail for the search: no more than
// half of what the objective allows the function in that time, and than a search with
// requests of its own may break.
func mayBreak(c Config, s Standing, most int) int {
	const least = 50 // with fewer no limit can be told
	return min(max(int(allowed(c.Objective)*s.Traffic*c.Budget.Seconds()/2), least), most)
}

// allowed is the share of calls that the strictest bound on latency lets be late.
func allowed(o search.Objective) float64 {
	least := 1.0
	for _, b := range o.Latency {
		least = min(least, 1-b.Quantile)
	}
	return least
}

// atTheTop is the part of the highest rate from which on the share, and not the pod, was
// what ended the search.
const atTheTop = 0.9

// conclude says of a result what is special about live calls.
func (x *finder) conclude(r *search.Result, s Standing) {
	if r.Estimate == 0 && r.Safe > atTheTop*s.Highest { // of rates that are the same but for chance the highest was the luckiest
		r.Safe = max(min(r.Safe, math.Floor(10*s.Highest)/10), r.Proven)
		r.Warnings = append(r.Warnings, fmt.Sprintf("live calls did not reach its limit: the pod had at most %.1f/s of %.1f/s, its safe rate is at least %.1f/s; more calls, or a larger share than %.1f times its own, would show more",
			r.Peak, s.Traffic, r.Safe, x.config.MaxFactor))
	}
	if x.missed > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d calls were not seen: the log was faster than the search", x.missed))
	}
}
