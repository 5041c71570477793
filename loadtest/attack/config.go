// Package attack sends requests to a plan and measures how long each took from
// the moment it was planned for.
//
// A fixed number of workers sends them, so a slow server cannot make the
// generator collapse; a request that had to wait for a free worker is sent late
// and its wait counts as latency, so a stalled server cannot hide either
// (coordinated omission). What could not be sent within [Config.MaxBehind] is
// counted as dropped, never forgotten.
//
// What is sent is a [Sender]'s business; [Static] sends a targeter's requests.
//
// Pacer, Targeter and Result are vegeta's: any vegeta pacer sets the plan, any
// targeter the requests, and what is written can be read by "vegeta report" and
// "vegeta plot". A Result's timestamp is its planned time.
//
// The package allows every host and rate; package scenario is where a load test
// is checked against what may be attacked.
package attack

import (
	"errors"
	"fmt"
	"time"
)

// Header marks every request of a run with the run's id, so that the gateway can
// keep load tests apart from real traffic.
const Header = "x-kongdao-load-test"

// Config says how requests are sent. [DefaultConfig] is complete but for Run.
type Config struct {
	Run       string        // id of the run, sent in [Header]; never empty
	Workers   int           // requests in flight at most
	Timeout   time.Duration // of one request, from its sending to the last byte of the answer
	Duration  time.Duration // of the plan; requests planned later are not sent; 0: until the pacer stops
	LateAfter time.Duration // a request sent more than this after its planned time counts as late
	MaxBehind time.Duration // a request that is further behind its planned time is dropped, not sent
	Grace     time.Duration // how long requests in flight may end after the observer stopped the run
	Meter     *Meter        // that all connections of the sender are counted by, and whose cap ends the run; nil: none
	Series    int           // how many kinds of requests the sender tells apart; below 2: they are not counted apart
}

// DefaultConfig is 16 workers, 10 s a request, late after 10 ms, dropped after 10 s.
func DefaultConfig() Config {
	return Config{
		Workers:   16,
		Timeout:   10 * time.Second,
		LateAfter: 10 * time.Millisecond,
		MaxBehind: 10 * time.Second,
		Grace:     500 * time.Millisecond,
	}
}

// Validate reports every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, field, message string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, message))
		}
	}
	check(c.Run != "", "run", "must not be empty: it marks the requests")
	check(c.Workers > 0, "workers", "must be above 0")
	check(c.Timeout > 0, "timeout", "must be above 0")
	check(c.Duration >= 0, "duration", "must not be negative")
	check(c.LateAfter > 0, "lateAfter", "must be above 0")
	check(c.MaxBehind >= c.LateAfter, "maxBehind", "must not be below lateAfter")
	check(c.Grace >= 0, "grace", "must not be negative")
	check(c.Series >= 0 && c.Series <= maxSeries, "series", fmt.Sprintf("must be from 0 to %d", maxSeries))
	return errors.Join(errs...)
}
