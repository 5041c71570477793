package app

import (
	"context"
	"errors"
	"io/fs"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/switchover"
)

// SwitchOrder asks for a switch of traffic.
type SwitchOrder struct {
	File string `json:"file,omitempty" doc:"name for messages"`
	Text string `json:"text" doc:"one document of kind TrafficSwitch"`
	Plan bool   `json:"plan,omitempty" doc:"look alone: the answer has the checks of every step, nothing is moved"`
}

// SwitchList is the answer to GET /switches.
type SwitchList struct {
	Switches []switchover.Record `json:"switches"` // those under way first
}

func (s *System) switchRoutes(h huma.API) {
	huma.Get(h, "/api/v1/switches", func(context.Context, *struct{}) (*body[SwitchList], error) {
		return reply(SwitchList{Switches: append([]switchover.Record{}, s.switches.list()...)}), nil
	})
	huma.Post(h, "/api/v1/switches", s.postSwitch)
	huma.Delete(h, "/api/v1/switches/{name}", s.deleteSwitch)
}

// postSwitch plans or begins a switch. A plan that must not be carried out is
// answered with its checks and the error; to begin it is a conflict.
func (s *System) postSwitch(ctx context.Context, in *body[SwitchOrder]) (*body[switchover.Record], error) {
	name := in.Body.File
	if name == "" {
		name = "switch.yaml"
	}
	set, problems := api.Parse(name, []byte(in.Body.Text))
	if len(problems) > 0 {
		return nil, huma.Error422UnprocessableEntity(problems.Error())
	}
	if len(set.TrafficSwitches) != 1 || set.Len() != 1 {
		return nil, huma.Error422UnprocessableEntity(name + ": want one document of kind TrafficSwitch")
	}
	if s.ch == nil {
		return nil, huma.Error503ServiceUnavailable("the traffic of now is not known: this process has no ClickHouse")
	}
	begin := s.switches.apply
	if in.Body.Plan {
		begin = s.switches.plan
	}
	r, err := begin(ctx, set.TrafficSwitches[0])
	switch {
	case err == nil:
		return reply(r), nil
	case errors.Is(err, switchover.ErrRefused) && in.Body.Plan:
		r.Error = err.Error()
		return reply(r), nil
	case errors.Is(err, switchover.ErrRefused):
		return nil, huma.Error409Conflict(err.Error())
	}
	return nil, huma.Error503ServiceUnavailable(err.Error())
}

func (s *System) deleteSwitch(_ context.Context, in *nameInput) (*struct{}, error) {
	if err := s.switches.abort(in.Name); errors.Is(err, fs.ErrNotExist) {
		return nil, huma.Error404NotFound("there is no switch " + in.Name)
	}
	return nil, nil
}
