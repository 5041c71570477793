package app

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/internal/calllog"
)

// TailQuery chooses calls that are yet to come, and stored ones before them.
type TailQuery struct {
	CallFilter
	Past int `query:"past" default:"50" minimum:"0" maximum:"10000" doc:"stored calls to begin with, at most"`
}

// TailState is the event state: it says where the calls after it come from, and
// what may be missing.
type TailState struct {
	Source string `json:"source" doc:"collector: live, as their block becomes durable; polling: as ClickHouse stores them, because the collector is elsewhere"`
	Note   string `json:"note,omitempty" doc:"what is wrong"`
}

// TailDropped is the event dropped: calls are missing in the stream because it was
// read too slowly. They are stored all the same.
type TailDropped struct {
	Calls int64 `json:"calls"`
}

func tailOperation(r huma.Registry) huma.Operation {
	return huma.Operation{
		OperationID: "get-calls-tail", Method: http.MethodGet, Path: "/api/v1/calls/tail",
		Summary: "Get calls tail", Description: "Calls as they come, as server-sent events.",
		Responses: map[string]*huma.Response{"200": {
			Description: "events until either side ends it",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: eventSchema(r)}},
		}},
	}
}

// Sources of a TailState.
const (
	fromCollector = "collector"
	fromPolling   = "polling"
)

// seamWait is how long a live view waits for ClickHouse to store what was durable
// before it, so that the past comes whole and first. When it takes longer the live
// calls begin, and what was missing follows.
const seamWait = 3 * time.Second

// tailing is one live view.
type tailing struct {
	system *System
	filter parsedFilter
	past   int
	to     *events

	sent map[callKey]time.Time // stored calls that were sent, and while live also calls that may be read from ClickHouse later
}

// callKey tells calls apart: a request id can be the client's, and be used twice.
type callKey struct {
	id, path string
	at       int64
}

func keyOf(c *Call) callKey { return callKey{c.RequestID, c.Path, c.Time.UnixMicro()} }

// getTail is the stream of a live view.
func (s *System) getTail(ctx context.Context, in *TailQuery) (*huma.StreamResponse, error) {
	f, err := in.sinceOr(time.Now().Add(-recently)).parse()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err := s.mayAsk(ctx, f.CallFilter); err != nil {
		return nil, err
	}
	var refused huma.StatusError
	err = s.known(ctx, f.CallFilter)
	if errors.As(err, &refused) && refused.GetStatus() == http.StatusNotFound { // without ClickHouse there are live calls all the same
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		ctx, cancel := untilShutdown(ctx)
		defer cancel()
		s.questions.views.Inc()
		defer s.questions.views.Dec()
		t := &tailing{system: s, filter: f, past: in.Past, to: newEvents(hc), sent: map[callKey]time.Time{}}
		if s.collector == nil {
			err = t.poll(ctx)
		} else {
			err = t.live(ctx)
		}
		if ctx.Err() == nil { // the reader is there, or has left and will not see it
			_ = t.to.state("", "the stream ends: "+err.Error())
		}
	}}, nil
}

// live joins what is stored and what comes. From the subscription on nothing is
// missed; what was durable before it is stored once WaitStored returns; calls on
// both sides are told by their keys. So each is sent once, and none is left out.
func (t *tailing) live(ctx context.Context) error {
	who, f := readerOf(ctx), t.filter
	tail := t.system.collector.Subscribe(ctx, func(r *calllog.Record) bool { return who.sees(string(r.Tenant)) && f.match(r) })
	v := &view{tailing: t, began: time.Now()}
	if t.past > 0 {
		v.stored = make(chan struct{})
		go func() {
			if t.system.collector.WaitStored(ctx) == nil {
				close(v.stored)
			}
		}()
		if err := v.begin(ctx); err != nil {
			return err
		}
	}
	if err := t.to.state(fromCollector, ""); err != nil {
		return err
	}
	return v.follow(ctx, tail)
}

// showPast sends stored calls, oldest first.
func (t *tailing) showPast(ctx context.Context) error {
	past, err := t.read(ctx, t.filter, t.past)
	if err != nil {
		return err
	}
	if len(past) == t.past { // older ones are not asked for, when some come late
		t.filter.Since = past[0].Time.Add(-time.Microsecond)
	}
	return t.show(past)
}

// read is the newest stored calls, oldest first.
func (t *tailing) read(ctx context.Context, f parsedFilter, limit int) ([]Call, error) {
	var calls []Call
	_, err := t.system.stored(ctx, f, false, limit, func(c Call) error {
		calls = append(calls, c)
		return nil
	})
	slices.Reverse(calls)
	return calls, answerOf(err)
}

// show sends stored calls that were not sent before.
func (t *tailing) show(calls []Call) error {
	for i := range calls {
		key := keyOf(&calls[i])
		if _, sent := t.sent[key]; sent {
			continue
		}
		t.sent[key] = calls[i].Time
		if err := t.to.add(eventCall, calls[i]); err != nil {
			return err
		}
	}
	return t.to.flush()
}

// view is a live view beside its collector.
type view struct {
	*tailing
	began  time.Time
	stored chan struct{} // closed once all is stored that was durable before the view; nil: nothing more is wanted from ClickHouse
}

// begin sends the past. When ClickHouse is behind or away the past is not whole:
// what is missing is sent once v.stored says so.
func (v *view) begin(ctx context.Context) error {
	patience := time.NewTimer(seamWait)
	defer patience.Stop()
	whole := false
	select {
	case <-v.stored:
		whole = true
	case <-patience.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	reading, cancel := ctx, context.CancelFunc(func() {})
	if !whole { // live calls wait
		reading, cancel = context.WithTimeout(ctx, seamWait)
	}
	defer cancel()
	var refused huma.StatusError
	switch err := v.showPast(reading); {
	case errors.As(err, &refused):
		return v.to.state(fromCollector, "stored calls will follow: "+refused.Error())
	case err != nil:
		return err
	case whole:
		v.stored = nil
		return nil
	}
	return v.to.state(fromCollector, "clickhouse is behind: some calls from before will follow")
}

const (
	// keepAlive is how often a stream without calls is written to, so that a reader
	// that has left is noticed.
	keepAlive = 10 * time.Second
	// clockSkew is how far a gateway's clock may be ahead of this one.
	clockSkew = 10 * time.Second
)

// follow sends live calls, and the missing part of the past when it is there.
func (v *view) follow(ctx context.Context, tail *collector.Tail) error {
	batches := make(chan batch)
	go pump(ctx, tail, batches)
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-batches:
			err = v.showBatch(b)
		case <-v.stored:
			err = v.showLate(ctx)
			v.stored = nil
		case <-alive.C:
			err = v.to.state(fromCollector, "")
		}
		if err != nil {
			return err
		}
	}
}

// batch is what a Tail gave at once.
type batch struct {
	calls   []Call
	dropped int64
}

func pump(ctx context.Context, tail *collector.Tail, to chan<- batch) {
	for {
		calls, dropped, err := tail.Next(ctx)
		if err != nil {
			return
		}
		select {
		case to <- batch{calls, dropped}:
		case <-ctx.Done():
			return
		}
	}
}

// showBatch sends live calls. A collector gives each of them once: only what the past
// has shown already is left out, and only what showLate may read is remembered.
func (v *view) showBatch(b batch) error {
	horizon := v.began.Add(clockSkew)
	for i := range b.calls {
		key := keyOf(&b.calls[i])
		if _, sent := v.sent[key]; sent {
			continue
		}
		if v.stored != nil && b.calls[i].Time.Before(horizon) {
			v.sent[key] = b.calls[i].Time
		}
		if err := v.to.add(eventCall, b.calls[i]); err != nil {
			return err
		}
	}
	if b.dropped > 0 {
		v.system.questions.dropped.Add(float64(b.dropped))
		if err := v.to.add(eventDropped, TailDropped{b.dropped}); err != nil {
			return err
		}
	}
	return v.to.flush()
}

// showLate sends what was durable before the view and stored only after its past was
// read.
func (v *view) showLate(ctx context.Context) error {
	f := v.filter
	if horizon := v.began.Add(clockSkew); f.Until.IsZero() || f.Until.After(horizon) {
		f.Until = horizon.Add(-time.Microsecond)
	}
	calls, err := v.read(ctx, f, v.past+len(v.sent))
	if err != nil {
		return v.to.state(fromCollector, "calls from before this view are not to be had: "+err.Error())
	}
	return v.show(calls)
}
