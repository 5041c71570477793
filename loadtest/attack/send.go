package attack

import (
	"context"
	"time"
)

// Sender turns the moments of a plan into requests. Each protocol is one, and so
// is a flow of requests that follow from each other.
type Sender interface {
	// Take chooses what is sent at the next moment of the plan and keeps it in the
	// iteration's State. It is called in the order of planned times, by one worker at
	// a time, between the moment and the sending: whatever takes time belongs into
	// Send. vegeta.ErrNoTargets ends the run, any other error ends it as failed.
	Take(*Iteration) error
	// Send sends the iteration's next request and waits for the end of its answer,
	// within a timeout of its own. More says that another request follows from this
	// one: Send is called again. Many workers are in Send at once.
	Send(context.Context, *Iteration) (r Reply, more bool)
	// Close ends what is kept open between requests, when the last one has ended.
	Close() error
}

// Iteration is what a worker sends for one moment of the plan: one request, or a
// few of which each needs the answer before.
type Iteration struct {
	Seq     uint64        // moments of the plan before this one, dropped ones included
	Stream  int           // of the pacer, see [Streams]; -1: the pacer has none
	Planned time.Duration // since the begin of the run
	State   any           // the sender's own; kept from one iteration of a worker to its next, for reuse
}

// Reply is how a request ended.
type Reply struct {
	Series      int           // what was sent, in [Config.Series]
	Status      int           // as in HTTP; 0: no whole answer, or not the right one
	In, Out     uint64        // bytes of the bodies
	Fault       string        // empty, or why there is no right answer: a Kind, or a sender's own word of a closed set
	Text        string        // of the error
	Held        time.Duration // how long the exchange was kept open on purpose; no part of the latency
	Method, URL string        // for single results
}

// Streams is a pacer that plans for several streams at once, such as scenarios
// with rates of their own.
type Streams interface {
	// Stream is the one that the last request that Pace planned belongs to, from 0.
	Stream() int
}
