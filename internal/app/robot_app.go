package app

import (
	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/registry"
)

// robotApp resolves the secret of a robot's app, if it has one.
func robotApp(a *api.RobotApp) (*dingtalk.App, error) {
	if a == nil {
		return nil, nil
	}
	secret, err := registry.Resolve(a.ClientSecret)
	if err != nil {
		return nil, err
	}
	return &dingtalk.App{
		ClientID: a.ClientID, ClientSecret: api.Secret(secret), RobotCode: a.RobotCode,
		Conversation: a.OpenConversationID, Template: a.CardTemplate, OpenAPI: a.OpenAPI,
	}, nil
}

// escalation is the one of kongdao.yaml. A step to somebody who is not there is left
// out and named, so that the others are taken.
func (s *System) escalation(cfg alerting.Config) alerting.Escalation {
	e := alerting.Escalation{After: s.cfg.Alerting.Escalation.After}
	for _, to := range s.cfg.Alerting.Escalation.To {
		if to != claim.Next && !cfg.Reaches(to) {
			s.log.Error("escalation skips a step, there is no channel, robot or receiver with integrations of that name", "to", to)
			continue
		}
		e.To = append(e.To, to)
	}
	if len(e.To) == 0 {
		e.After = 0
	}
	return e
}
