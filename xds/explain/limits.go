package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// filterCallers names the caller; each limit is a filter of that name with its
// number.
const filterCallers = "kongdao.callers"

// limit fills in every limit that a request to a function's revisions meets, in
// the order in which they are asked, and the filters that ask.
func (a *Answer) limit(rule *model.Rule, v model.Verdict) {
	f := rule.Function
	if v.Shadow {
		a.shadowLimit(f, v)
	} else {
		a.ordinaryLimits(rule, v)
	}
	if f.Concurrency > 0 {
		a.Limits = append(a.Limits, Limit{
			Name: "concurrency", InFlight: f.Concurrency, Source: f.Source.String(),
			Follows: "requests in flight at all gateways together, each has its even part",
		})
	}
}

// ordinaryLimits are those of callers, and the function's.
func (a *Answer) ordinaryLimits(rule *model.Rule, v model.Verdict) {
	f := rule.Function
	var filters []string
	for slot, l := range f.Callers {
		if len(filters) == 0 {
			filters = append(filters, filterCallers)
		}
		filters = append(filters, fmt.Sprintf("%s.%d", filterCallers, slot))
		caller := a.caller(l)
		a.Limits = append(a.Limits, Limit{
			Name: l.Label(), RequestsPerSecond: float64(l.Rate), Burst: l.Burst(),
			Caller: caller, Source: l.Source.String(),
			Follows: "each " + perWhom(l) + ", this one is " + caller,
		})
	}
	if i := slices.Index(a.Filters, filterLimit); i >= 0 {
		a.Filters = slices.Insert(a.Filters, i, filters...)
	}
	if l, ok := limitOf(f, v); ok {
		if class := rule.ClassOf(v.Admitted.Consumer, a.request.values); f.Ranked {
			a.Priority = class.String()
			l.Follows += reserved(class, f.Tier.Burst, v.Cost)
		}
		a.Limits = append(a.Limits, l)
	}
}

func perWhom(l model.CallerLimit) string {
	switch l.Per {
	case api.PerHeader:
		return "value of " + strings.ToLower(l.Header)
	case api.PerIP:
		return "client address"
	default:
		return l.Per
	}
}

// caller is who the request is from, in the limit's terms.
func (a *Answer) caller(l model.CallerLimit) string {
	switch l.Per {
	case api.PerIP:
		return "the client's address"
	case api.PerConsumer:
		return orNobody(a.Consumer)
	default:
		values := a.request.Headers.Values(http.CanonicalHeaderKey(l.Header))
		return orNobody(strings.Join(values, ","))
	}
}

func orNobody(caller string) string {
	const longest = 64 // characters that gateways look at
	if caller == "" {
		return "nobody, as all without one"
	}
	return caller[:min(len(caller), longest)]
}

// reserved says what a class leaves to higher ones.
func reserved(class model.Class, bucket, cost uint32) string {
	r := class.Reserve(bucket, cost)
	if r == 0 {
		return fmt.Sprintf("; %s: refused last", class)
	}
	return fmt.Sprintf("; %s: refused when less than %s of the burst is left", class, percent(float64(r+cost)/float64(bucket)))
}
