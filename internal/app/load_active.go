package app

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// ActiveLoad is a stress test that is under way, and watched here.
type ActiveLoad struct {
	Run      string    `json:"run"`
	Scenario string    `json:"scenario"`
	Since    time.Time `json:"since"`
	stop     chan string
}

// ActiveLoadList is the answer to GET /load-active.
type ActiveLoadList struct {
	Runs    []ActiveLoad `json:"runs"`                    // the oldest first
	Refused *time.Time   `json:"refused_until,omitempty"` // until when gateways refuse requests of stress tests; nil: they take them
}

// activeLoads are the stress tests that are under way: those whose generators are
// connected.
type activeLoads struct {
	mu   sync.Mutex
	runs map[string]*ActiveLoad
}

// How production is watched for a stress test: a generator has to be silent within a
// second of the breach, of which calls take half until they are known.
const (
	loadLook      = 150 * time.Millisecond
	loadLookSlow  = time.Second // where the collector is another process, or functions are many
	loadWindow    = 3 * time.Second
	manyFunctions = 500
	loadBeat      = time.Second // between two signs of life
)

type loadWatchInput struct {
	Run       string   `path:"run"`
	Scenario  string   `query:"scenario"`
	Functions []string `query:"function,explode" doc:"whose objectives count; none: all"`
}

// LoadStop is the event stop: the generator has to be silent at once. There is no
// event after it.
type LoadStop struct {
	Reason string `json:"reason"`
}

// Events of the watch of a stress test.
const (
	eventBeat = "beat"
	eventStop = "stop"
)

func (s *System) loadActiveRoutes(h huma.API) {
	huma.Get(h, "/api/v1/load-active", s.listLoadActive)
	huma.Delete(h, "/api/v1/load-active", s.stopAllLoad)
	huma.Delete(h, "/api/v1/load-refused", s.allowLoad)
	huma.Delete(h, "/api/v1/load-active/{run}", func(_ context.Context, in *struct {
		Run string `path:"run"`
	},
	) (*struct{}, error) {
		if !s.loads.stop(in.Run) {
			return nil, huma.Error404NotFound("no stress test " + in.Run + " is under way")
		}
		return nil, nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "get-load-active-watch", Method: http.MethodGet, Path: "/api/v1/load-active/{run}/watch", Summary: "Get load active watch",
		Description: "Registers a stress test for as long as the connection lasts, and says when it has to stop, as server-sent events: production's objectives break, or somebody stops it.",
		Responses: map[string]*huma.Response{"200": {
			Description: "events until either side ends it",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, s.watchLoad)
}

func (s *System) listLoadActive(context.Context, *struct{}) (*body[ActiveLoadList], error) {
	s.loads.mu.Lock()
	defer s.loads.mu.Unlock()
	list := ActiveLoadList{Runs: []ActiveLoad{}}
	if until := s.moved.markedUntil(); !until.IsZero() {
		list.Refused = &until
	}
	for _, r := range s.loads.runs {
		list.Runs = append(list.Runs, *r)
	}
	slices.SortFunc(list.Runs, func(a, b ActiveLoad) int { return a.Since.Compare(b.Since) })
	return reply(list), nil
}

// begin registers a run; false when there is one of that name.
func (l *activeLoads) begin(run, scenario string) (*ActiveLoad, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs[run] != nil {
		return nil, false
	}
	if l.runs == nil {
		l.runs = map[string]*ActiveLoad{}
	}
	r := &ActiveLoad{Run: run, Scenario: scenario, Since: time.Now(), stop: make(chan string, 1)}
	l.runs[run] = r
	return r, true
}

func (l *activeLoads) end(run string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, run)
}

// stop ends a run, or all; it tells whether there was one.
func (l *activeLoads) stop(run string) (found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, r := range l.runs {
		if run != "" && id != run {
			continue
		}
		found = true
		select {
		case r.stop <- "stopped by command":
		default:
		}
	}
	return found
}

func (s *System) watchLoad(ctx context.Context, in *loadWatchInput) (*huma.StreamResponse, error) {
	set := s.registry.Current().Set
	for _, name := range in.Functions {
		if set.Function(name) == nil {
			return nil, huma.Error404NotFound("there is no function " + name)
		}
	}
	run, ok := s.loads.begin(in.Run, in.Scenario)
	if !ok {
		return nil, huma.Error409Conflict("the stress test " + in.Run + " is under way already")
	}
	if why := s.moved.refusal(); why != "" {
		select {
		case run.stop <- why:
		default: // somebody has stopped it already
		}
	}
	production := s.newProduction(loadWindow, in.Functions...)
	every := loadLook
	if s.collector == nil || len(in.Functions) == 0 && len(set.Functions) > manyFunctions {
		every = loadLookSlow
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer s.loads.end(in.Run)
		ctx, cancel := untilShutdown(hc.Context())
		defer cancel()
		_ = followLoad(ctx, newEvents(hc), run, production, every)
	}}, nil
}

// followLoad looks at production until the run has to stop or its generator leaves.
func followLoad(ctx context.Context, to *events, run *ActiveLoad, p *production, every time.Duration) error {
	look, beat := time.NewTicker(every), time.NewTicker(loadBeat)
	defer look.Stop()
	defer beat.Stop()
	say := func(name string, data any) error { return errors.Join(to.add(name, data), to.flush()) }
	if err := say(eventBeat, struct{}{}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return say(eventStop, LoadStop{"the system is stopping"})
		case why := <-run.stop:
			return say(eventStop, LoadStop{why})
		case <-beat.C:
			if err := say(eventBeat, struct{}{}); err != nil {
				return err
			}
		case <-look.C:
			if err := p.look(ctx); err != nil && ctx.Err() == nil {
				return say(eventStop, LoadStop{"production: " + strings.TrimSpace(err.Error())})
			}
		}
	}
}
