package relay

import (
	"context"
	"time"

	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
)

func backoffConfig() backoff.Config {
	return backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond}
}

// reach is how long a connection to the control plane may take to begin.
const reach = time.Second

// reachable tells whether the control plane is there.
func (r *Relay) reachable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	for {
		state := r.upstream.GetState()
		switch state {
		case connectivity.Ready:
			return true
		case connectivity.TransientFailure, connectivity.Shutdown:
			return false
		case connectivity.Idle:
			r.upstream.Connect()
		case connectivity.Connecting:
		}
		if !r.upstream.WaitForStateChange(ctx, state) {
			return false
		}
	}
}

// awaitUpstream waits until the control plane is connected.
func (r *Relay) awaitUpstream(ctx context.Context) {
	for {
		state := r.upstream.GetState()
		if state == connectivity.Ready {
			return
		}
		r.upstream.Connect()
		if !r.upstream.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// wasMute tells once that the control plane was of no use.
func (r *Relay) wasMute() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.mute
	r.mute = false
	return was
}

func (r *Relay) setMute() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mute = true
}

// refused logs why the control plane ends streams, once until it takes one.
func (r *Relay) refused(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason != r.refusal && reason != "" {
		r.log.Warn("the control plane does not serve this gateway", "reason", reason)
	}
	r.refusal = reason
}
