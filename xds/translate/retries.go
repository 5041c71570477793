package translate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushosts "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previouspriorities "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// What is tried again. A request whose pod is gone goes to another pod; one that
// may have reached a pod is only sent again when the function is idempotent.
//
// Unless a function asks for it an answer is never retried, not even 503: a pod
// that refuses because it is full would make each request up to five, and the limit
// counts requests once. A function that asks for it has a budget.
const (
	retryUnsent = "connect-failure,refused-stream,reset-before-request"
	retryAll    = "connect-failure,refused-stream,reset"
)

// Retries are quick: they bridge the moment until a dead pod is out of rotation.
const (
	retries        = 4
	backOff        = 5 * time.Millisecond
	maxBackOff     = 50 * time.Millisecond
	otherHostTries = 5 // picks of a pod that was not tried before
)

// retryPolicy is nil when nothing is tried again.
func (t *translator) retryPolicy(f *model.Function) *route.RetryPolicy {
	if f.Retries.Off {
		return nil
	}
	on, statuses := retryOn(f)
	p := &route.RetryPolicy{
		RetryOn:                       on,
		RetriableStatusCodes:          statuses,
		NumRetries:                    wrapperspb.UInt32(uint32(cmp.Or(f.Retries.Attempts, retries))),
		RetryBackOff:                  retryBackOff(f.Retries.BackOff),
		HostSelectionRetryMaxAttempts: otherHostTries,
		RetryHostPredicate: []*route.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &route.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: t.pack(&previoushosts.PreviousHostsPredicate{})},
		}},
		RetryPriority: &route.RetryPolicy_RetryPriority{
			Name:       "envoy.retry_priorities.previous_priorities",
			ConfigType: &route.RetryPolicy_RetryPriority_TypedConfig{TypedConfig: t.pack(&previouspriorities.PreviousPrioritiesConfig{UpdateFrequency: 2})},
		},
	}
	if f.TryTimeout > 0 {
		p.PerTryTimeout = durationpb.New(f.TryTimeout)
	}
	return p
}

// defaultBudget is the part of the requests in flight that may be retries of
// answers, percent.
const defaultBudget = 20

// budgetOf is the retry budget of a function, percent; 0: none.
func budgetOf(r api.Retries) float64 {
	answers := slices.ContainsFunc(r.On, func(c string) bool { return c == "5xx" || c == "gateway-error" || isStatus(c) })
	switch {
	case r.Budget > 0:
		return float64(r.Budget)
	case answers:
		return defaultBudget
	default:
		return 0
	}
}

// retryOn is what is tried again, in Envoy's words, and the statuses among it.
func retryOn(f *model.Function) (on string, statuses []uint32) {
	if len(f.Retries.On) == 0 {
		if f.Idempotent {
			return retryAll, nil
		}
		return retryUnsent, nil
	}
	var words []string
	for _, c := range f.Retries.On {
		word := c
		if isStatus(c) {
			word = "retriable-status-codes"
			status, _ := strconv.ParseUint(c, 10, 16)
			statuses = append(statuses, uint32(status))
		}
		if to, other := retryWords[c]; other {
			word = to
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, ","), statuses
}

// retryWords are Envoy's names where they differ. A try that took too long is
// reset by the gateway itself, and "reset" is how Envoy calls that.
var retryWords = map[string]string{"refused": "refused-stream", "timeout": "reset"}

func isStatus(condition string) bool {
	_, err := strconv.ParseUint(condition, 10, 16)
	return err == nil
}

// retryBackOff is Envoy's: random from 0 to base times 2^n-1, at most max.
func retryBackOff(b api.BackOff) *route.RetryPolicy_RetryBackOff {
	base := max(cmp.Or(b.Base.Std(), backOff), time.Millisecond)
	most := cmp.Or(b.Max.Std(), max(maxBackOff, 10*b.Base.Std()))
	return &route.RetryPolicy_RetryBackOff{
		BaseInterval: durationpb.New(base), MaxInterval: durationpb.New(max(base, most)),
	}
}
