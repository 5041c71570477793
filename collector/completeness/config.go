package completeness

import (
	"errors"
	"fmt"
	"time"
)

// Config is how a Watcher works.
type Config struct {
	// Polls read the counters of gateways on this machine. Each goes by itself.
	Polls []Poll `yaml:"-"`

	Interval time.Duration `yaml:"interval"` // between two polls; longer when they are slow, so that they take 2 % of the time at most
	Horizon  time.Duration `yaml:"horizon"`  // a call that has not arrived by then is lost, if its source has nothing left to read
	Forget   time.Duration `yaml:"forget"`   // a gateway that has been silent for that long is no longer a gateway
}

// DefaultConfig reads once a second and gives up on a call after 20 s.
func DefaultConfig() Config {
	return Config{Interval: time.Second, Horizon: 20 * time.Second, Forget: time.Hour}
}

// Validate lists everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Interval < time.Millisecond || c.Interval > 10*time.Second {
		errs = append(errs, fmt.Errorf("interval: %s is not between 1ms and 10s", c.Interval))
	}
	if c.Horizon < c.Interval {
		errs = append(errs, fmt.Errorf("horizon: %s is less than interval", c.Horizon))
	}
	if c.Forget < c.Horizon {
		errs = append(errs, errors.New("forget: less than horizon"))
	}
	return errors.Join(errs...)
}

// State is what the rest of a collector says about itself.
type State struct {
	// Through is up to when everything that a gateway had written was read: a call
	// that ended later is late, however old it is.
	Through func(gateway string) time.Time
	// Oldest is the time of the oldest call that waits for ClickHouse; zero: none.
	Oldest func() time.Time
}
