package translate

import (
	"time"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushosts "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previouspriorities "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// What is tried again. A request whose pod is gone goes to another pod; one that
// may have reached a pod is only sent again when the function is idempotent.
//
// An answer is never retried, not even 503: a pod that refuses because it is full
// would make each request up to five, and the limit counts requests once.
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

func (t *translator) retryPolicy(f *model.Function) *route.RetryPolicy {
	p := &route.RetryPolicy{
		RetryOn:    retryUnsent,
		NumRetries: wrapperspb.UInt32(retries),
		RetryBackOff: &route.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(backOff), MaxInterval: durationpb.New(maxBackOff),
		},
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
	if f.Idempotent {
		p.RetryOn = retryAll
	}
	if f.TryTimeout > 0 {
		p.PerTryTimeout = durationpb.New(f.TryTimeout)
	}
	return p
}
