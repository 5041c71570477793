package app

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/plan"
)

// PlanRequest asks what would change if a folder were applied.
type PlanRequest struct {
	Folder registry.Folder `json:"folder"`
	Group  string          `json:"group,omitempty" doc:"of gateways; empty: default"`

	Calls []Call   `json:"calls,omitempty" doc:"to be replayed; none: a sample of stored ones"`
	Kept  []string `json:"kept,omitempty" doc:"headers that the calls given keep"`

	Since  time.Time `json:"since,omitzero" doc:"of stored calls; default: an hour before until"`
	Until  time.Time `json:"until,omitzero" doc:"of stored calls; default: now"`
	Sample int       `json:"sample,omitempty" doc:"how many stored calls, about; 0: 10000" minimum:"0" maximum:"100000"`
}

// ExplainRequest asks what gateways would do with a request if a folder were applied.
type ExplainRequest struct {
	Folder registry.Folder `json:"folder"`
	Method string          `json:"method"`
	URL    string          `json:"url"`
	Header []string        `json:"header,omitempty" doc:"name: value"`
	Client string          `json:"client,omitempty" doc:"address that the request comes from; empty: one that is let in"`
	Group  string          `json:"group,omitempty"`
	Zone   string          `json:"zone,omitempty"`
}

// Explained is the answer, or what is wrong with the folder.
type Explained struct {
	Answer   explain.Answer `json:"answer"`
	Problems api.Problems   `json:"problems,omitempty"`
	Doubts   []string       `json:"doubts,omitempty"` // consumers whose keys cannot be resolved
}

// maxFolder bounds a folder of resources, with calls to replay.
const maxFolder = 256 << 20

// planRoutes are the questions about resources that are not applied, for operators.
func (s *System) planRoutes(h huma.API) {
	operation := func(path, id, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: path, Summary: summary,
			MaxBodyBytes: maxFolder, BodyReadTimeout: time.Minute,
		}
	}
	huma.Register(h, operation("/api/v1/plan", "post-plan", "Post plan"), s.postPlan)
	huma.Register(h, operation("/api/v1/explain", "post-explain", "Post explain"), s.postExplain)
}

func (s *System) postPlan(ctx context.Context, in *body[PlanRequest]) (*body[Planned], error) {
	q := in.Body
	set, problems := s.candidate(q.Folder)
	if len(problems) > 0 {
		return reply(Planned{Problems: problems}), nil
	}
	old, place, err := s.seenFrom("", q.Group, "")
	if err != nil {
		return nil, huma.Error404NotFound(err.Error())
	}
	now, doubts, err := s.xds.Preview(s.ledger.Effective(set), q.Group)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	o := plan.Options{Kept: q.Kept, From: place}
	if len(q.Calls) == 0 {
		if q.Calls, err = s.plannedCalls(ctx, q, &o); err != nil {
			return nil, err
		}
	}
	p := Planned{Resources: plan.Resources(s.registry.Current().Set, set), Calls: plan.New(old, now, o).Run(q.Calls)}
	p.doubt(doubts)
	return reply(p), nil
}

// candidate reads a folder as the registry would, were it applied.
func (s *System) candidate(f registry.Folder) (api.Set, api.Problems) {
	set, problems := f.Load()
	if len(problems) == 0 {
		problems = s.ledger.Check(set)
	}
	return set, problems
}

// plannedCalls are a sample of stored ones, as the one who asks may see them.
func (s *System) plannedCalls(ctx context.Context, q PlanRequest, o *plan.Options) ([]Call, error) {
	if s.ch == nil {
		return nil, huma.Error422UnprocessableEntity("calls: this process has none, want some in the request")
	}
	if readerOf(ctx) == nil {
		return nil, huma.Error401Unauthorized("calls: stored ones are for readers and for this machine, want some in the request")
	}
	f, err := CallFilter{Since: q.Since, Until: q.Until}.ranged().parse()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	n := q.Sample
	if n == 0 {
		n = 10000
	}
	sample, err := s.sample(ctx, f, n)
	o.Kept, o.IPv4Bits, o.IPv6Bits = sample.Kept, sample.IPv4Bits, sample.IPv6Bits
	return sample.Calls, err
}

func (s *System) postExplain(_ context.Context, in *body[ExplainRequest]) (*body[Explained], error) {
	q := in.Body
	r, err := explain.ParseRequest(q.Method, q.URL, q.Header)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if q.Client != "" {
		if r.Client, err = netip.ParseAddr(q.Client); err != nil {
			return nil, huma.Error422UnprocessableEntity("client: want an IP address")
		}
	}
	set, problems := s.candidate(q.Folder)
	if len(problems) > 0 {
		return reply(Explained{Problems: problems}), nil
	}
	var w *model.World
	var doubts string
	if w, doubts, err = s.xds.Preview(s.ledger.Effective(set), q.Group); err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	r.From = explain.Place{Group: q.Group, Zone: q.Zone}
	return reply(Explained{Answer: explain.Describe(w, r, s.xds.Layout()), Doubts: linesOf(doubts)}), nil
}
