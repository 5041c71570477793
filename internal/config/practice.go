package config

import (
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/drill"
)

// Practice are drills of zones that are carried out by themselves, one at each time.
type Practice struct {
	Times    []string     `yaml:"times" want:"days and times such as [\"Tue 10:00\"]"` // when, by the clocks of capacity.timeZone; empty: never
	Window   api.Duration `yaml:"window"`                                              // how long after its time a run may still begin, when something was in the way
	Zones    []string     `yaml:"zones"`                                               // in turn; empty: all that have pods
	Hold     api.Duration `yaml:"hold"`                                                // how long a zone stays empty
	RemindIn api.Duration `yaml:"remindIn"`                                            // after so long without a drill of a zone an alert says so; 0: never
}

// DefaultPractice is none.
func DefaultPractice() Practice {
	const day = 24 * time.Hour
	return Practice{
		Times: []string{}, Window: api.Duration(2 * time.Hour), Zones: []string{}, Hold: api.Duration(time.Minute), RemindIn: api.Duration(30 * day),
	}
}

// Weekly are the times that can be read.
func (p Practice) Weekly() (all []drill.Weekly) {
	for _, text := range p.Times {
		if w, err := drill.ParseWeekly(text); err == nil {
			all = append(all, w)
		}
	}
	return all
}

func (k *check) practice(p Practice) {
	const day = 24 * time.Hour
	for i, text := range p.Times {
		if _, err := drill.ParseWeekly(text); err != nil {
			k.add(fmt.Sprintf("practice.times[%d]", i), "%s", err)
		}
	}
	k.between("practice.window", p.Window, 0, day)
	k.between("practice.hold", p.Hold, time.Second, time.Hour)
	k.between("practice.remindIn", p.RemindIn, 0, 365*day)
	for i, z := range p.Zones {
		if z == "" {
			k.add(fmt.Sprintf("practice.zones[%d]", i), "is empty, want the name of a zone")
		}
	}
}
