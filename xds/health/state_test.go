package health

import (
	"strings"
	"testing"
	"time"
)

func TestObserve(t *testing.T) {
	for _, c := range []struct {
		what    string
		results []result
		ready   []bool // after each
	}{
		{"unknown counts as ready, and stays so", []result{passed}, []bool{true}},
		{"a first refusal is enough", []result{refused, passed, passed}, []bool{false, false, true}},
		{"a first timeout is not", []result{timeout, passed}, []bool{true, true}},
		{"two refusals in a row", []result{passed, refused, refused}, []bool{true, true, false}},
		{"one refusal is forgiven", []result{passed, refused, passed, refused, passed}, []bool{true, true, true, true, true}},
		{"three failures of other kinds", []result{passed, timeout, failed, timeout}, []bool{true, true, true, false}},
		{"flapping never adds up", []result{failed, failed, passed, failed, failed, passed}, []bool{true, true, true, true, true, true}},
		{"a timeout between refusals parts them", []result{passed, refused, timeout, passed}, []bool{true, true, true, true}},
		{"recovery needs successes in a row", []result{refused, passed, failed, passed, passed}, []bool{false, false, false, false, true}},
	} {
		cfg := DefaultConfig()
		cfg.Unhealthy = 3
		s := newState()
		for i, r := range c.results {
			s.observe(r, cfg)
			if s.ready != c.ready[i] {
				t.Errorf("%s: after %v ready is %v", c.what, c.results[:i+1], s.ready)
			}
		}
	}
}

func TestObserveAsksAgainSoonOnlyWhileReady(t *testing.T) {
	cfg := DefaultConfig()
	s := newState()
	s.observe(passed, cfg)
	if again := s.observe(refused, cfg); again != requeryAfter {
		t.Errorf("after the first refusal: %v", again)
	}
	if again := s.observe(refused, cfg); again != cfg.Interval.Std() {
		t.Errorf("after the second: %v", again)
	}
	cfg.Interval = 1
	s = newState()
	s.observe(passed, cfg)
	if again := s.observe(refused, cfg); again != 1*time.Nanosecond {
		t.Errorf("never later than the interval: %v", again)
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{}.Validate()
	for _, field := range []string{"interval", "timeout", "healthy", "unhealthy", "concurrency"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
}
