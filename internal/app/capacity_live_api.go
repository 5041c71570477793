package app

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/live"
	"github.com/kongdao/kongdao/capacity/search"
)

// Events of a live search, beside eventBeat.
const (
	eventBegun  = "begun"  // a LiveBegun
	eventStep   = "step"   // a search.StepResult
	eventFound  = "found"  // an apply.Found, the last event
	eventFailed = "failed" // a LiveFailed, the last event
)

// LiveBegun says which pod is tried.
type LiveBegun struct {
	Pod      string `json:"pod"`
	Revision string `json:"revision"`
	live.Standing
}

// LiveFailed ends a search without an answer.
type LiveFailed struct {
	Reason  string      `json:"reason"`
	NotNow  bool        `json:"not_now" doc:"nothing is wrong with the search: something was in its way"`
	SoFar   apply.Found `json:"so_far"`
	Stopped bool        `json:"stopped"`
}

type liveInput struct {
	Name    string  `path:"name"`
	Run     string  `query:"run" required:"true" doc:"id of the result"`
	Pod     string  `query:"pod" doc:"address; empty: the first that is ready"`
	Seconds int     `query:"seconds" default:"300" minimum:"60" maximum:"3600" doc:"budget"`
	Share   float64 `query:"share" default:"3" minimum:"1.1" maximum:"6" doc:"highest factor of the pod's share"`
	MaxRate float64 `query:"max_rate" minimum:"0" doc:"never given beyond, calls a second; 0: no bound"`
	Others  int     `query:"others" default:"2" minimum:"1" doc:"ready pods beside it, at least"`
}

func (s *System) liveRoutes(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "get-capacity-live", Method: http.MethodGet, Path: "/api/v1/capacity/live/{name}", Summary: "Get capacity live",
		Description: "Searches for a pod's safe rate by its function's own calls, for as long as the connection lasts, as server-sent events: begun, step, beat, and at last found or failed.",
		Responses: map[string]*huma.Response{"200": {
			Description: "events until either side ends it",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, s.getLive)
}

func (s *System) getLive(ctx context.Context, in *liveInput) (*huma.StreamResponse, error) {
	if s.registry.Current().Set.Function(in.Name) == nil {
		return nil, huma.Error404NotFound("there is no function " + in.Name)
	}
	if !runPattern.MatchString(in.Run) {
		return nil, huma.Error422UnprocessableEntity("run: letters, digits, dots and dashes alone")
	}
	if err := s.loads.others(in.Run); err != nil {
		return nil, huma.Error409Conflict(err.Error())
	}
	run, ok := s.loads.begin(in.Run, "capacity/"+in.Name)
	if !ok {
		return nil, huma.Error409Conflict("the run " + in.Run + " is under way already")
	}
	ctx, cancel := untilShutdown(ctx)
	x, err := s.newLive(ctx, LiveOrder{
		Function: in.Name, Pod: in.Pod, Run: in.Run, Budget: time.Duration(in.Seconds) * time.Second,
		Share: in.Share, MaxRate: in.MaxRate, Others: in.Others,
	})
	if err != nil {
		cancel()
		s.loads.end(in.Run)
		return nil, huma.Error409Conflict(err.Error())
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer cancel()
		followLive(ctx, newEvents(hc), run, x)
	}}, nil
}

// event is one that waits to be sent.
type event struct {
	name string
	data any
}

// followLive searches, and tells how it goes. The pod has its share again when it
// returns.
func followLive(ctx context.Context, to *events, run *ActiveLoad, x *liveSearch) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	news, ended := make(chan event, 16), make(chan event, 1)
	tell := func(name string, data any) {
		select {
		case news <- event{name, data}:
		case <-ctx.Done():
		}
	}
	go func() {
		f, err := x.find(ctx, live.Reports{
			Begun: func(s live.Standing) { tell(eventBegun, LiveBegun{x.order.Pod, x.revision, s}) },
			Step:  func(s search.StepResult) { tell(eventStep, s) },
		})
		x.system.loads.end(run.Run) // whoever hears of the end may begin the next one
		if err == nil {
			ended <- event{eventFound, f}
			return
		}
		why := cmp.Or(context.Cause(ctx), err)
		ended <- event{eventFailed, LiveFailed{
			Reason: why.Error(), NotNow: errors.Is(err, live.ErrNotNow), SoFar: f, Stopped: errors.Is(why, errLiveStopped),
		}}
	}()
	beat := time.NewTicker(loadBeat)
	defer beat.Stop()
	for {
		var e event
		select {
		case why := <-run.stop:
			cancel(errors.Join(errLiveStopped, errors.New(why)))
			continue
		case <-beat.C:
			e = event{eventBeat, struct{}{}}
		case e = <-news:
		case e = <-ended:
			for len(news) > 0 {
				n := <-news
				_ = to.add(n.name, n.data)
			}
			_ = errors.Join(to.add(e.name, e.data), to.flush()) // the reader may have left
			return
		}
		if err := errors.Join(to.add(e.name, e.data), to.flush()); err != nil {
			cancel(err)
		}
	}
}

var errLiveStopped = errors.New("the search was stopped")
