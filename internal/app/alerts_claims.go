package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/alerting/claim"
)

// claimRoutes are the operations about who takes care of what.
func (s *System) claimRoutes(h huma.API) {
	huma.Get(h, "/api/v1/alerts/claims", s.listClaims)
	huma.Post(h, "/api/v1/alerts/claims/{id}", s.postClaim)
}

// matter is one thing that people were told of, and who takes care of it.
type matter struct {
	ID       string            `json:"id" doc:"stands in all its messages, such as #A3F2"`
	Key      string            `json:"key" doc:"Alertmanager's group key"`
	Alert    string            `json:"alert"`
	Severity string            `json:"severity,omitempty"`
	Labels   map[string]string `json:"labels"`
	Channel  string            `json:"channel"`
	Alerts   int               `json:"alerts" doc:"in the last message"`
	Since    time.Time         `json:"since"`
	Ended    *time.Time        `json:"ended,omitempty"`
	Claimed  *claim.Mark       `json:"claimed,omitempty"`
	Silenced *claim.Mark       `json:"silenced,omitempty"`
	Steps    int               `json:"steps,omitempty" doc:"upwards that were taken"`
	Next     *time.Time        `json:"next,omitempty" doc:"when the next step is due"`
}

func matterOf(st claim.State, now time.Time) matter {
	m := matter{
		ID: st.ID(), Key: st.Key, Alert: st.Group.Name(), Severity: st.Group.Severity(), Labels: st.Group.Labels,
		Channel: st.Channel, Alerts: st.Alerts, Since: st.Since, Claimed: st.Claim(now), Silenced: st.Silence(now), Steps: st.Level,
	}
	if !st.Open() {
		m.Ended = &st.Ended
	}
	if !st.Due.IsZero() {
		m.Next = &st.Due
	}
	return m
}

// claimList is the answer to GET /alerts/claims.
type claimList struct {
	Claims []matter `json:"claims"`
}

func (s *System) listClaims(_ context.Context, in *struct {
	All bool `query:"all" doc:"also those that ended within a day"`
},
) (*body[claimList], error) {
	list := claimList{Claims: []matter{}}
	now := time.Now()
	for _, st := range s.alerting.Claims() {
		if st.Open() || in.All {
			list.Claims = append(list.Claims, matterOf(st, now))
		}
	}
	return reply(list), nil
}

// claimRequest is what somebody answers.
type claimRequest struct {
	Action  claim.Action `json:"action" enum:"claim,release,silence,escalate"`
	By      string       `json:"by" minLength:"1" maxLength:"100" doc:"whose answer it is"`
	Seconds int          `json:"seconds,omitempty" minimum:"0" maximum:"604800" doc:"how long a claim or silence lasts; 0: the usual time"`
}

func (s *System) postClaim(ctx context.Context, in *struct {
	ID   string `path:"id" doc:"such as A3F2, without the #"`
	Body claimRequest
},
) (*body[matter], error) {
	st, ok := s.alerting.Claim(in.ID)
	if !ok {
		return nil, huma.Error404NotFound("nothing is known about " + in.ID)
	}
	st, err := s.alerting.Answer(ctx, claim.Answer{
		ID: claim.NewID(), Key: st.Key, Action: in.Body.Action, By: claim.Person{Name: in.Body.By},
		At: time.Now(), For: time.Duration(in.Body.Seconds) * time.Second, Via: "command",
	})
	if err != nil {
		return nil, claimError(err)
	}
	return reply(matterOf(st, time.Now())), nil
}

// claimError is an answer without effect as an HTTP status.
func claimError(err error) error {
	_, taken := errors.AsType[*claim.TakenError](err)
	switch {
	case errors.Is(err, claim.ErrUnknown):
		return huma.Error404NotFound(err.Error())
	case taken, errors.Is(err, claim.ErrEnded), errors.Is(err, claim.ErrNobody), errors.Is(err, claim.ErrNoSteps):
		return huma.Error409Conflict(err.Error())
	}
	return huma.NewError(http.StatusInternalServerError, err.Error())
}
