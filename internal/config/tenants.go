package config

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/policy"
)

// Tenant says how the calls of one tenant are kept.
type Tenant struct {
	// Sample is the part of the calls that is stored, 1 divided by a whole number.
	// Default 1. Errors, slow calls and some others are stored in any case.
	Sample float64 `yaml:"sample" want:"1, or a number such as 0.5 or 0.1"`

	Slow api.Duration `yaml:"slow"` // as long or longer is slow; default 1s

	// RetentionDays is how long the tenant's calls are kept, its rollups and the logs
	// of its functions too where those would be kept longer. 0: clickhouse.retentionDays.
	RetentionDays int `yaml:"retentionDays" want:"a whole number from 0 to 3650"`
}

// SetDefaults implements api.Defaulter.
func (t *Tenant) SetDefaults() { *t = DefaultTenant() }

// DefaultTenant is how calls are kept of tenants that say nothing else.
func DefaultTenant() Tenant { return Tenant{Sample: 1, Slow: api.Duration(time.Second)} }

// SampleOneIn is Sample as the whole number it is 1 divided by.
func (t Tenant) SampleOneIn() uint32 { return uint32(math.Round(1 / t.Sample)) }

// maxOneIn bounds weights: rollups count a duration as often as its call's weight.
const maxOneIn = 1000

func (k *check) tenants(all map[string]Tenant) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t, field := all[name], "tenants."+name
		if !nodeName.MatchString(name) {
			k.add(field, "is %q, want the name of a tenant such as recommend", name)
		}
		switch n := 1 / t.Sample; {
		case !(t.Sample > 0) || n > maxOneIn:
			k.add(field+".sample", "is %v, want 1, or a number such as 0.1 or 0.001: with none at all no total could be told", t.Sample)
		case t.Sample > 1 || math.Abs(1/math.Round(n)-t.Sample) > 0.05*t.Sample:
			k.add(field+".sample", "is %v, want 1 divided by a whole number, such as 1, 0.5, 0.33 or 0.1", t.Sample)
		}
		if t.RetentionDays < 0 || t.RetentionDays > maxDays {
			k.add(field+".retentionDays", "is %d, want a whole number from 0 to %d, 0 for clickhouse.retentionDays", t.RetentionDays, maxDays)
		}
		k.between(field+".slow", t.Slow, time.Millisecond, time.Hour)
	}
}

// Sampling is how calls are sampled, for the package that does.
func (c Config) Sampling() map[string]policy.Sampling {
	all := make(map[string]policy.Sampling, len(c.Tenants))
	for name, t := range c.Tenants {
		all[name] = policy.Sampling{OneIn: t.SampleOneIn(), Slow: t.Slow.Std()}
	}
	return all
}
