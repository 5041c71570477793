package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// stream is one gateway. Its goroutine in DeltaAggregatedResources owns the
// subscriptions; mu is for those who look at them from outside.
type stream struct {
	server  *Server
	wire    discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	changed chan struct{} // size 1: a table changed

	left chan struct{} // size 1: the stream has to end

	mu    sync.Mutex
	node  string
	claim string // the group that it says it is in
	group *Group // nil until it said who it is
	zone  string
	build string
	disk  *Disk
	since time.Time
	last  time.Time // of the last ACK
	subs  map[string]*subscription
	acked map[string]time.Time
}

// DeltaAggregatedResources serves one gateway until it leaves.
func (s *Server) DeltaAggregatedResources(wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	st := &stream{
		server: s, wire: wire, changed: make(chan struct{}, 1), left: make(chan struct{}, 1), since: time.Now(),
		subs: map[string]*subscription{}, acked: map[string]time.Time{},
	}
	s.add(st)
	defer s.drop(st)
	requests, failed := make(chan *discovery.DeltaDiscoveryRequest), make(chan error, 1)
	go receive(wire.Context(), wire.Recv, requests, failed)
	for {
		select {
		case r := <-requests:
			if st.isIn() == "" {
				if err := s.judge(wire.Context(), s.events.Admit, "gateway", r.GetNode()); err != nil {
					return err
				}
			}
			if st.request(r) {
				s.count()
			}
		case <-st.changed:
		case <-st.left:
			return status.Error(codes.Unavailable, "the gateway's group is another one now")
		case err := <-failed:
			return err
		}
		if err := st.send(); err != nil {
			return err
		}
		s.progress()
	}
}

// receive passes requests on. It ends with the stream: gRPC cancels the context
// of a stream whose handler returned.
func receive[R any](ctx context.Context, next func() (*R, error), requests chan<- *R, failed chan<- error) {
	for {
		r, err := next()
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if r == nil {
			failed <- err
			return
		}
		select {
		case requests <- r:
		case <-ctx.Done():
			failed <- ctx.Err()
			return
		}
	}
}

// request takes in what a gateway says, and tells whether it is the first time
// that it says who it is.
func (st *stream) request(r *discovery.DeltaDiscoveryRequest) (introduced bool) {
	if n := r.GetNode(); st.isIn() == "" {
		st.introduce(n)
		introduced = n.GetId() != ""
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	table := st.group.tables[r.GetTypeUrl()]
	if table == nil {
		return introduced // a type that is not served here; there will never be an answer
	}
	sub := st.subs[r.GetTypeUrl()]
	if sub == nil {
		sub = newSubscription(r, table, st.place(r.GetTypeUrl()))
		st.subs[r.GetTypeUrl()] = sub
	} else {
		sub.subscribe(r.GetResourceNamesSubscribe())
	}
	sub.unsubscribe(r.GetResourceNamesUnsubscribe())
	st.answer(sub, r)
	return introduced
}

// answer takes in an ACK or a NACK.
func (st *stream) answer(sub *subscription, r *discovery.DeltaDiscoveryRequest) {
	out := sub.outstanding
	if out == nil || out.nonce != r.GetResponseNonce() {
		return // not an answer, or to something older
	}
	sub.outstanding = nil
	if f := st.server.events.Answered; f != nil {
		f(r.GetTypeUrl(), r.GetErrorDetail() == nil)
	}
	if r.GetErrorDetail() == nil {
		now := time.Now()
		st.acked[r.GetTypeUrl()], st.last = now, now
		sub.accepted(out)
		if f := st.server.events.Acked; f != nil && !out.since.IsZero() {
			f(r.GetTypeUrl(), now.Sub(out.since))
		}
		return
	}
	message := r.GetErrorDetail().GetMessage()
	sub.rejected(out, message)
	st.server.log.Error("gateway rejected resources", "node", st.node, "type", r.GetTypeUrl(), "resources", out.names, "message", message)
	if f := st.server.events.Rejected; f != nil {
		f(Rejection{Node: st.node, Type: r.GetTypeUrl(), Resources: out.names, Message: message, At: time.Now()})
	}
}

// send sends what is due, in the order of Types.
func (st *stream) send() error {
	if !st.isOpen() {
		return nil
	}
	for _, typeURL := range Types() {
		if err := st.sendType(typeURL); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) sendType(typeURL string) error {
	st.mu.Lock()
	sub := st.subs[typeURL]
	if sub == nil || sub.outstanding != nil {
		st.mu.Unlock()
		return nil
	}
	response, updated := sub.next()
	if response == nil {
		st.mu.Unlock()
		return nil
	}
	response.TypeUrl = typeURL
	response.Nonce = st.server.nextNonce()
	sub.outstanding.nonce = response.Nonce
	if typeURL == resource.ClusterType {
		st.subs[resource.EndpointType].force(updated)
	}
	st.mu.Unlock()
	if err := st.wire.Send(response); err != nil {
		return fmt.Errorf("send %s: %w", typeURL, err)
	}
	return nil
}

func (st *stream) nodeID() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.node
}

// reached tells whether everything up to these sequence numbers is accepted.
func (st *stream) reached(want map[string]uint64) (bool, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for typeURL, seq := range want {
		sub := st.subs[typeURL]
		if sub == nil && wildcards(typeURL) {
			return false, nil // still on its way to asking
		}
		if sub == nil {
			continue // it needs none
		}
		for name, message := range sub.refused {
			return false, fmt.Errorf("gateway %s rejects %s: %s", st.node, name, message.text)
		}
		if sub.settled < seq {
			return false, nil
		}
	}
	return true, nil
}
