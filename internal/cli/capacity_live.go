package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/live"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// liveFlags are those of a search by live calls.
type liveFlags struct {
	on     bool
	share  float64
	others int
}

func (f *liveFlags) add(fl *pflag.FlagSet) {
	fl.BoolVar(&f.on, "live", false, "by a growing share of the function's own calls; no request is made")
	fl.Float64Var(&f.share, "max-share", live.DefaultMaxFactor, "with --live: the pod gets at most this many times its share")
	fl.IntVar(&f.others, "others", 2, "with --live: ready pods of its revision that must be there beside it")
}

// shortestLive is the least that the running system takes.
const shortestLive = time.Minute

// findLive has the running system search. The pod has its share again as soon as this
// process is gone, however it ends.
func (e *env) findLive(ctx context.Context, name string, f findFlags, _ scenario.Limits) (r apply.Found, err error) {
	if f.path != "" || f.start != 0 || f.cold || len(f.metrics) > 0 || f.metricsPod != "" {
		return r, invalid(errors.New("--path, --start, --cold, --metrics and --metrics-pod: not with --live, which takes the calls that there are and begins with the pod's own share"))
	}
	if f.budget < shortestLive {
		return r, invalid(fmt.Errorf("--budget: is %v, want at least %v with --live: calls that nobody sends take their time", f.budget, shortestLive))
	}
	c, err := e.connect()
	if err != nil {
		return r, err
	}
	run := loadtest.NewRunID()
	query := url.Values{
		"run": {run}, "pod": {f.pod}, "seconds": {strconv.Itoa(int(f.budget.Seconds()))},
		"share": {fmt.Sprint(f.live.share)}, "max_rate": {fmt.Sprint(f.maxRate)}, "others": {strconv.Itoa(f.live.others)},
	}
	err = c.events(ctx, "/capacity/live/"+url.PathEscape(name), query, func(event string, data []byte) error {
		return e.liveEvent(run, event, data, &r)
	})
	if errors.Is(err, errLiveEnded) {
		return r, nil
	}
	return r, cmp.Or(ctx.Err(), err)
}

var errLiveEnded = errors.New("ended")

func (e *env) liveEvent(run, event string, data []byte, found *apply.Found) error {
	switch event {
	case "begun":
		var b app.LiveBegun
		if err := json.Unmarshal(data, &b); err != nil {
			return err
		}
		fmt.Fprintf(e.err, "pod %s has %.1f of %.1f calls a second, and gets up to %.1f/s; kongdao load stop %s ends it\n", b.Pod, b.Rate, b.Traffic, b.Highest, run)
	case "step":
		var s search.StepResult
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		found.Steps = append(found.Steps, s)
		fmt.Fprintf(e.err, "%s  %s\n", time.Now().Format(time.TimeOnly), s)
	case "found":
		if err := json.Unmarshal(data, found); err != nil {
			return err
		}
		return errLiveEnded
	case "failed":
		var failed app.LiveFailed
		if err := json.Unmarshal(data, &failed); err != nil {
			return err
		}
		err := fmt.Errorf("%s; the pod has its share again", failed.Reason)
		if failed.NotNow || failed.Stopped {
			return refused(err)
		}
		return err
	}
	return nil
}
