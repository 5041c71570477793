// Package gate answers whether a revision of a function may go live: it was stressed,
// and recently; every zone has the pods that the plan asks for; the loss of a zone
// is provided for; somebody hears when it breaks; and it says what it promises and
// who may call it.
//
// It is pure: the day and all facts are arguments. Nothing unknown passes.
package gate

import (
	"fmt"
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/plan"
)

// Policy is what the gate asks for.
type Policy struct {
	MaxAge time.Duration // of a measured capacity
}

// Facts are what the gate is told beside the function's resource.
type Facts struct {
	Revision string         // that is to go live
	Measured string         // revision whose pod was measured; empty: unknown
	Pods     map[string]int // ready pods of Revision, by zone
	Pod      string         // address of one of them; empty: there is none
	Row      plan.Row       // of the function's plan
	Alerts   []string       // rules that watch its calls
	Heard    bool           // what they say reaches somebody
	Today    time.Time
}

// Names of the checks.
const (
	CheckCapacity  = "capacity"  // measured
	CheckFresh     = "fresh"     // measured recently
	CheckRevision  = "revision"  // it was this revision that was measured
	CheckRate      = "rate"      // pods are given no more than was measured
	CheckPlan      = "plan"      // every zone has its pods
	CheckZones     = "zones"     // ready pods in two zones at least
	CheckHealth    = "health"    // a pod says itself whether it is ready
	CheckTimeouts  = "timeouts"  // a pod that hangs in a lost zone holds nobody for long
	CheckRetries   = "retries"   // it is decided whether calls to a lost zone are repeated
	CheckAlerts    = "alerts"    // somebody hears
	CheckOwner     = "owner"     // who
	CheckObjective = "objective" // declared
	CheckAccess    = "access"    // declared
)

// Check is one question and its answer.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason"`         // what was found
	Mend   string `json:"mend,omitempty"` // command to run, or what to write; where it is not OK
}

// Verdict is the answer for one function.
type Verdict struct {
	Function string  `json:"function"`
	Revision string  `json:"revision,omitempty"`
	OK       bool    `json:"ok"`
	Checks   []Check `json:"checks"`
}

// Missing are the checks that are not OK.
func (v Verdict) Missing() (all []Check) {
	for _, c := range v.Checks {
		if !c.OK {
			all = append(all, c)
		}
	}
	return all
}

// Judge answers for a function.
func Judge(p Policy, f api.Function, x Facts) Verdict {
	v := Verdict{Function: f.Name, Revision: x.Revision}
	v.Checks = slices.Concat(
		measured(p, f, x), []Check{rate(f), planned(f, x.Row)},
		survival(f, x), attention(f, x),
		[]Check{objective(f), access(f)},
	)
	v.OK = len(v.Missing()) == 0
	return v
}

func pass(name, format string, args ...any) Check {
	return Check{Name: name, OK: true, Reason: fmt.Sprintf(format, args...)}
}

func refuse(name, mend, format string, args ...any) Check {
	return Check{Name: name, Reason: fmt.Sprintf(format, args...), Mend: mend}
}

// write is the mending of what has to be written in the function's file.
func write(f api.Function, what string) string {
	if f.Source.File == "" {
		return "write " + what
	}
	return "write " + what + " in " + f.Source.File
}
