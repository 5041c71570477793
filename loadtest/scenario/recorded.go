package scenario

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Recorded is the plan of calls that were recorded, which this package knows nothing
// about but where they go and for how long (0: not known).
func Recorded(target string, length time.Duration, workers int, timeout time.Duration, thresholds []string, l Limits) (Plan, error) {
	p := Plan{Workers: workers, Timeout: timeout, length: length, limits: l, spec: api.ScenarioSpec{Thresholds: thresholds}}
	if p.Workers == 0 {
		p.Workers = DefaultWorkers
	}
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	errs := []error{l.Validate(), p.thresholds()}
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		errs = append(errs, &FieldError{"target", fmt.Errorf("%q is not an http or https address", target)})
	case !l.Allows(u.Host):
		errs = append(errs, &FieldError{"target", fmt.Errorf("host %s is not on the list of hosts that may be load-tested", u.Host)})
	}
	if p.Workers < 0 || p.Timeout < 0 {
		errs = append(errs, errors.New("workers and timeout must not be negative"))
	}
	if p.Workers > l.MaxInFlight {
		errs = append(errs, &FieldError{"workers", fmt.Errorf("%d is above the cap of %d in flight", p.Workers, l.MaxInFlight)})
	}
	if length > l.MaxDuration {
		errs = append(errs, &FieldError{"length", fmt.Errorf("%v is above the cap of %v: replay less, or faster", length, l.MaxDuration)})
	}
	return p, errors.Join(errs...)
}
