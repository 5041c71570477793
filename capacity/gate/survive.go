package gate

import (
	"maps"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// survival answers what becomes of calls when a zone is lost.
func survival(f api.Function, x Facts) []Check {
	return []Check{zones(f, x), health(f), timeouts(f), retries(f)}
}

func zones(f api.Function, x Facts) Check {
	var in []string
	for _, z := range slices.Sorted(maps.Keys(x.Pods)) {
		if x.Pods[z] > 0 {
			in = append(in, z)
		}
	}
	mend := write(f, "endpoints of "+x.Revision+" in another zone")
	switch len(in) {
	case 0:
		return refuse(CheckZones, mend, "%s has no ready pod", x.Revision)
	case 1:
		return refuse(CheckZones, mend, "%s has ready pods in %s alone", x.Revision, in[0])
	}
	return pass(CheckZones, "ready pods in %s", strings.Join(in, ", "))
}

func health(f api.Function) Check {
	if f.Spec.HealthCheck.Path == "" {
		return refuse(CheckHealth, write(f, "spec.healthCheck.path, such as /healthz"), "a pod counts as ready when it takes connections, whatever it answers")
	}
	return pass(CheckHealth, "%s", f.Spec.HealthCheck.Path)
}

// timeouts: a try has to end early enough for another one, where there may be one.
func timeouts(f api.Function) Check {
	s := f.Spec
	switch {
	case s.Timeout == 0:
		return refuse(CheckTimeouts, write(f, "spec.timeout"), "no timeout is declared: a call may hang for 15s")
	case !s.Idempotent || s.Retries.Off:
		return pass(CheckTimeouts, "%s", s.Timeout)
	case s.TryTimeout == 0:
		return refuse(CheckTimeouts, write(f, "spec.tryTimeout, half of "+s.Timeout.String()+" at most"), "a try that hangs uses up the whole timeout of %s, and is not repeated", s.Timeout)
	case 2*s.TryTimeout > s.Timeout:
		return refuse(CheckTimeouts, write(f, "spec.tryTimeout, half of "+s.Timeout.String()+" at most"), "a try may take %s of %s: a second one has no time", s.TryTimeout, s.Timeout)
	}
	return pass(CheckTimeouts, "%s, a try %s", s.Timeout, s.TryTimeout)
}

// retries wants a decision: without one, calls that a lost zone had begun fail, and
// nobody may have meant that.
func retries(f api.Function) Check {
	s := f.Spec
	switch {
	case s.Retries.Off:
		return pass(CheckRetries, "off")
	case s.Idempotent:
		return pass(CheckRetries, "idempotent: calls to a lost zone are repeated")
	case len(s.Retries.On) > 0:
		return pass(CheckRetries, "on %s", strings.Join(s.Retries.On, ", "))
	}
	return refuse(CheckRetries, write(f, "spec.idempotent: true, or spec.retries, {off: true} too"), "it is not said whether a call that was sent may be repeated when its zone is lost")
}

// attention answers who hears when it breaks.
func attention(f api.Function, x Facts) []Check {
	alerts := pass(CheckAlerts, "%s", strings.Join(x.Alerts, ", "))
	switch {
	case len(x.Alerts) == 0:
		alerts = refuse(CheckAlerts, "write an AlertRule that looks at its calls", "no alert rule looks at its calls")
	case !x.Heard:
		alerts = refuse(CheckAlerts, "write a Robot, then kongdao alert test ROBOT", "%s: what they say reaches nobody", strings.Join(x.Alerts, ", "))
	}
	owner := pass(CheckOwner, "%s", f.Owner)
	if f.Owner == "" {
		owner = refuse(CheckOwner, write(f, "metadata.owner"), "nobody is called when it breaks")
	}
	return []Check{alerts, owner}
}

func objective(f api.Function) Check {
	o := f.Spec.Objective
	l := o.Latency
	if l.P50 == 0 && l.P90 == 0 && l.P99 == 0 {
		return refuse(CheckObjective, write(f, "spec.objective.latency"), "no latency promised")
	}
	if o.Success == 0 {
		return refuse(CheckObjective, write(f, "spec.objective.success"), "no share of successes promised")
	}
	return pass(CheckObjective, "declared")
}

func access(f api.Function) Check {
	a := f.Spec.Access
	switch {
	case a == nil || !a.Public && len(a.Consumers) == 0 && len(a.JWT) == 0:
		return refuse(CheckAccess, write(f, "spec.access"), "nobody may call: the gateway answers 403")
	case a.Public:
		return pass(CheckAccess, "public")
	case len(a.JWT) > 0:
		return pass(CheckAccess, "%d consumers, and holders of tokens of %d issuers", len(a.Consumers), len(a.JWT))
	}
	return pass(CheckAccess, "%d consumers", len(a.Consumers))
}
