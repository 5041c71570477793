package config

import (
	"fmt"
	"math"
	"strings"
	"time"
	_ "time/tzdata" // so that timeZone means the same on every machine

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/usage"
)

// Capacity says how capacity is planned and what a release has to show.
type Capacity struct {
	Gate         string       `yaml:"gate" want:"off, warn or enforce"`               // whether a revision's weight rises when its gate is not passed
	MaxAge       api.Duration `yaml:"maxAge"`                                         // of a measured safe rate, for the gate
	Horizon      api.Duration `yaml:"horizon" want:"a length of time from 1h to 90d"` // how far peaks are forecast
	Risk         float64      `yaml:"risk" want:"a probability above 0, up to 0.5"`   // that the busiest hour of the horizon is above the peak planned for
	PodHourPrice float64      `yaml:"podHourPrice" want:"a price, 0 or more"`         // of a pod for an hour, in any currency; 0: plans say nothing of costs
	TimeZone     string       `yaml:"timeZone" want:"a name such as Asia/Shanghai"`   // where days of events begin, and whose clocks seasons follow
	Events       []Event      `yaml:"events"`                                         // promotions and holidays that forecasts know
	Metrics      []string     `yaml:"metrics"`                                        // where a pod's CPU and memory are read in a search; {host} is its address; none: nowhere
}

// Event is a promotion or a holiday.
type Event struct {
	Name      string   `yaml:"name"`
	Dates     []string `yaml:"dates" want:"days such as 2026-11-11"`    // first days, past ones too: what it did then is learned
	Days      int      `yaml:"days" want:"a whole number from 1 to 31"` // how long it is; default 1
	Factor    float64  `yaml:"factor" want:"a number, 0 or more"`       // what calls are multiplied by; 0: as it was before
	Functions []string `yaml:"functions"`                               // that it touches; empty: all
}

// SetDefaults implements api.Defaulter.
func (e *Event) SetDefaults() { e.Days = 1 }

// DefaultCapacity warns of nothing and plans two weeks ahead.
func DefaultCapacity() Capacity {
	const day = 24 * time.Hour
	return Capacity{
		Gate: "off", MaxAge: api.Duration(90 * day), Horizon: api.Duration(14 * day), Risk: 0.01,
		TimeZone: "Asia/Shanghai", Events: []Event{}, Metrics: []string{},
	}
}

// Start is when an event begins on each of its dates; dates that cannot be read are
// left out.
func (e Event) Start(where *time.Location) (all []time.Time) {
	for _, d := range e.Dates {
		if t, err := time.ParseInLocation(time.DateOnly, d, where); err == nil {
			all = append(all, t)
		}
	}
	return all
}

// Location is where days begin.
func (c Capacity) Location() (*time.Location, error) { return time.LoadLocation(c.TimeZone) }

func (k *check) capacity(c Capacity) {
	const day = 24 * time.Hour
	k.oneOf("capacity.gate", c.Gate, "off", "warn", "enforce")
	k.between("capacity.maxAge", c.MaxAge, day, 3650*day)
	k.between("capacity.horizon", c.Horizon, time.Hour, 90*day)
	if !(c.Risk > 0 && c.Risk <= 0.5) {
		k.add("capacity.risk", "is %v, want a probability above 0, up to 0.5", c.Risk)
	}
	if !(c.PodHourPrice >= 0) || math.IsInf(c.PodHourPrice, 0) {
		k.add("capacity.podHourPrice", "is %v, want a price, 0 or more", c.PodHourPrice)
	}
	for i, text := range c.Metrics {
		if err := (usage.Source{URL: strings.ReplaceAll(text, "{host}", "pod")}).Validate(); err != nil {
			k.add(fmt.Sprintf("capacity.metrics[%d]", i), "want a URL such as http://{host}:9090/metrics")
		}
	}
	if _, err := c.Location(); err != nil || c.TimeZone == "" {
		k.add("capacity.timeZone", "is %q, want a name such as Asia/Shanghai, UTC or Local", c.TimeZone)
	}
	seen := map[string]bool{}
	for i, e := range c.Events {
		k.event(fmt.Sprintf("capacity.events[%d]", i), e)
		if seen[e.Name] {
			k.add(fmt.Sprintf("capacity.events[%d].name", i), "is %q, which another event has: want one event with all its dates", e.Name)
		}
		seen[e.Name] = true
	}
}

func (k *check) event(at string, e Event) {
	if e.Name == "" {
		k.add(at+".name", "is missing, want a name such as 11.11")
	}
	if len(e.Dates) == 0 {
		k.add(at+".dates", "is missing, want days such as [2026-11-11]")
	}
	for i, d := range e.Dates {
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			k.add(fmt.Sprintf("%s.dates[%d]", at, i), "is %q, want a day such as 2026-11-11", d)
		}
	}
	k.within(at+".days", e.Days, 1, 31)
	if !(e.Factor >= 0) || math.IsInf(e.Factor, 0) {
		k.add(at+".factor", "is %v, want a number such as 8, or 0 for what it was before", e.Factor)
	}
}
