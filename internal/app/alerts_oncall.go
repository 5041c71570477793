package app

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/alerting/people"
	"github.com/kongdao/kongdao/api"
)

// maxTurns bounds the turns of one answer.
const maxTurns = 1000

// onCallTurn is who is on call for a while.
type onCallTurn struct {
	Calendar string    `json:"calendar"`
	Teams    []string  `json:"teams" doc:"that call whom the calendar names"`
	Person   string    `json:"person"`
	Name     string    `json:"name" doc:"as people call them"`
	From     time.Time `json:"from" doc:"in the calendar's time zone"`
	Until    time.Time `json:"until" doc:"not included"`
	Override bool      `json:"override,omitempty" doc:"an exception from the rotation"`
}

type onCallInput struct {
	Calendar string    `query:"calendar" doc:"one of them; all when not given"`
	From     time.Time `query:"from" doc:"now when not given"`
	Until    time.Time `query:"until" doc:"the same moment when not given: who is on call then"`
}

type onCallOutput struct {
	Body struct {
		Turns []onCallTurn `json:"turns"`
	}
}

// getOnCall says who is on call. It tells no numbers: those are in the resources.
func (s *System) getOnCall(_ context.Context, in *onCallInput) (*onCallOutput, error) {
	if in.From.IsZero() {
		in.From = time.Now()
	}
	if in.Until.IsZero() {
		in.Until = in.From.Add(1)
	}
	if !in.From.Before(in.Until) {
		return nil, huma.Error422UnprocessableEntity("until is not after from")
	}
	d := s.alerting.People()
	names := d.Calendars()
	if in.Calendar != "" {
		names = []string{in.Calendar}
	}
	out := &onCallOutput{}
	out.Body.Turns = []onCallTurn{}
	for _, name := range names {
		c, err := d.Calendar(name)
		if err != nil {
			return nil, huma.Error404NotFound(err.Error())
		}
		out.Body.Turns = append(out.Body.Turns, turns(d, name, c, in)...)
	}
	return out, nil
}

func turns(d *people.Directory, name string, c api.Calendar, in *onCallInput) []onCallTurn {
	var all []onCallTurn
	for _, t := range people.Between(c, in.From, in.Until, maxTurns) {
		p, _ := d.Person(t.Person)
		all = append(all, onCallTurn{
			Calendar: name, Teams: d.TeamsOf(name), Person: t.Person, Name: p.Name,
			From: t.From.In(c.Location), Until: t.Until.In(c.Location), Override: t.Override,
		})
	}
	return slices.Clip(all)
}
