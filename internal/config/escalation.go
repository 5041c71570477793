package config

import (
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Escalation says what happens to pages that nobody claims or silences.
type Escalation struct {
	After api.Duration `yaml:"after"` // how long a page goes unclaimed before each step; 0s: nothing happens by itself
	To    []string     `yaml:"to"`    // steps: next is the next person on call, in the same channel; others are a Channel, a Robot or a receiver with integrations
}

func (k *check) escalation(e Escalation) {
	if e.After != 0 {
		k.between("alerting.escalation.after", e.After, 10*time.Second, 24*time.Hour)
	}
	if e.After > 0 && len(e.To) == 0 {
		k.add("alerting.escalation.to", "is empty, want at least one step, such as next")
	}
	for i, to := range e.To {
		if to == "" {
			k.add(fmt.Sprintf("alerting.escalation.to[%d]", i), "is empty, want next or the name of a Channel, a Robot or a receiver with integrations")
		}
	}
}
