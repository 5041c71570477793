package app

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/capacity/drill"
)

// DrillOrder asks for a drill of a zone.
type DrillOrder struct {
	Zone   string  `json:"zone"`
	Steps  []int   `json:"steps,omitempty" doc:"shares on the way down, percent, ending with 0; none: 50, 10, 0"`
	StepS  float64 `json:"step_s,omitempty" minimum:"0" doc:"how long each step is watched; 0: 1.5"`
	HoldS  float64 `json:"hold_s,omitempty" minimum:"0" maximum:"3600" doc:"how long the zone stays empty; 0: 60"`
	Force  bool    `json:"force,omitempty" doc:"even if the other zones cannot take over, or nobody knows"`
	Kill   bool    `json:"kill,omitempty" doc:"kill the zone's pods instead of draining them; in a test fleet alone"`
	DryRun bool    `json:"dry_run,omitempty" doc:"pre-check and prediction alone"`
}

// Drills of a drill's own pace.
const (
	drillStep     = 1500 * time.Millisecond
	drillInterval = 250 * time.Millisecond
	drillBadLooks = 2 // in a row that are accepted
)

// drillConfig is the pace of a drill: five seconds until the zone is empty.
func drillConfig() drill.Config {
	c := drill.DefaultConfig()
	c.Settle, c.Interval, c.Tolerance = drillStep, drillInterval, drillBadLooks
	return c
}

func (o DrillOrder) order(by string) drill.Order {
	c := drillConfig()
	if len(o.Steps) > 0 {
		c.Steps = o.Steps
	}
	if o.StepS > 0 {
		c.Settle = time.Duration(o.StepS * float64(time.Second))
	}
	if o.HoldS > 0 {
		c.Hold = time.Duration(o.HoldS * float64(time.Second))
	}
	return drill.Order{Zone: o.Zone, By: by, Config: c, Force: o.Force, Kill: o.Kill, Dry: o.DryRun}
}

func (s *System) drillRoutes(h huma.API) {
	huma.Get(h, "/api/v1/drills", s.listDrills)
	huma.Post(h, "/api/v1/drills", s.postDrill)
	huma.Get(h, "/api/v1/drills/{id}", s.getDrill)
	huma.Delete(h, "/api/v1/drills/{id}", s.deleteDrill)
}

// DrillList is the answer to GET /drills.
type DrillList struct {
	Drills []drill.Record `json:"drills"` // the newest first
}

func (s *System) listDrills(context.Context, *struct{}) (*body[DrillList], error) {
	all, err := s.drills.history.List()
	if err != nil {
		s.drills.log.Error("drills of before", "error", err)
	}
	return reply(DrillList{Drills: all}), nil
}

// postDrill begins a drill and answers with its record as it stands; one that the
// pre-check refuses has the state refused.
func (s *System) postDrill(_ context.Context, in *body[DrillOrder]) (*body[drill.Record], error) {
	if !s.knownZone(in.Body.Zone) {
		return nil, huma.Error404NotFound("there is no zone " + in.Body.Zone)
	}
	order := in.Body.order("command")
	if err := order.Config.Validate(); err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if s.ch == nil {
		return nil, huma.Error503ServiceUnavailable("the traffic of now is not known: this process has no ClickHouse")
	}
	r, err := s.drills.begin(order)
	switch {
	case errors.Is(err, errBusy):
		return nil, huma.Error409Conflict(err.Error())
	case err != nil && r.State != drill.Refused && !errors.Is(err, drill.ErrRefused):
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return reply(r), nil
}

type drillInput struct {
	ID string `path:"id"`
}

func (s *System) getDrill(_ context.Context, in *drillInput) (*body[drill.Record], error) {
	r, err := s.drills.get(in.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, huma.Error404NotFound("there is no drill " + in.ID)
	}
	if err != nil {
		return nil, huma.Error500InternalServerError(err.Error())
	}
	return reply(r), nil
}

// deleteDrill ends a drill; its record stays.
func (s *System) deleteDrill(_ context.Context, in *drillInput) (*struct{}, error) {
	s.drills.abort(in.ID)
	return nil, nil
}
