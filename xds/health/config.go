package health

import (
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Config says how often and how patiently pods are asked.
type Config struct {
	Interval    api.Duration `yaml:"interval"`    // from one probe of a target to its next, varied by a tenth
	Timeout     api.Duration `yaml:"timeout"`     // of one probe
	Healthy     int          `yaml:"healthy"`     // successes in a row that make a target ready
	Unhealthy   int          `yaml:"unhealthy"`   // failures in a row that make it unready
	Concurrency int          `yaml:"concurrency"` // probes at a time; hung targets hold one for Timeout each
}

// DefaultConfig sees a killed pod within 0.6 s and a hung one within 1.7 s. Its
// concurrency is enough for 400 hung pods, or for thousands that answer.
func DefaultConfig() Config {
	return Config{
		Interval:    api.Duration(500 * time.Millisecond),
		Timeout:     api.Duration(300 * time.Millisecond),
		Healthy:     2,
		Unhealthy:   2,
		Concurrency: 256,
	}
}

// Validate reports every problem, each with the name of its field.
func (c Config) Validate() error {
	var errs []error
	if c.Interval <= 0 {
		errs = append(errs, fmt.Errorf("interval: is %v, must be positive", c.Interval))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: is %v, must be positive", c.Timeout))
	}
	for _, n := range []struct {
		field string
		value int
	}{{"healthy", c.Healthy}, {"unhealthy", c.Unhealthy}, {"concurrency", c.Concurrency}} {
		if n.value < 1 {
			errs = append(errs, fmt.Errorf("%s: is %d, must be at least 1", n.field, n.value))
		}
	}
	return errors.Join(errs...)
}
