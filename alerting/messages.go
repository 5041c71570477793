package alerting

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/people"
)

// Messages says how messages look and what is known for them. The zero value is
// the shipped look, mentions nobody and knows no releases.
type Messages struct {
	// Messages is their shape: markdown, text or actionCard; empty: markdown. What
	// mentions somebody is never an action card, for cards cannot.
	Type      dingtalk.Type `yaml:"messages"`
	Templates string        `yaml:"-"` // Go templates as text, see [dingtalk.ParseTemplates]

	People *people.Directory `yaml:"-"` // to start with; see SetPeople
	// Released is the revision of a function that got traffic last, up to a moment.
	Released func(function string, at time.Time) (dingtalk.Release, bool) `yaml:"-"`
	// Dashboard is the address of one about alerts of these labels; nil: none.
	Dashboard func(labels map[string]string, from, to time.Time) string `yaml:"-"`
}

func (m Messages) validate() error {
	switch m.Type {
	case "", dingtalk.Markdown, dingtalk.Text, dingtalk.ActionCard:
	default:
		return fmt.Errorf("messages: %q, must be markdown, text or actionCard", m.Type)
	}
	_, err := dingtalk.ParseTemplates(m.Templates, nil)
	return err
}

func (c Config) renderer() dingtalk.Renderer {
	loc, _ := c.location() // validated
	return dingtalk.Renderer{
		Lang: c.Lang, Location: loc, Base: c.LinkBase, Type: c.Messages.Type,
		Released: c.Messages.Released, Dashboard: c.Messages.Dashboard,
	}
}

// message completes a renderer with what the running alerter knows.
func (a *Alerter) message(r *dingtalk.Renderer) {
	failed := func(err error) {
		a.log.Error("template of messages fails, the shipped one is used", "err", err)
	}
	r.Templates, _ = dingtalk.ParseTemplates(a.cfg.Messages.Templates, failed) // validated
	if a.links != nil {
		r.Chart = a.chartURL
		r.Links = a.answerLinks
	}
	r.Audience = func(g dingtalk.Group, at time.Time) dingtalk.Audience {
		return a.people.Load().Audience(g, at)
	}
}

// SetPeople replaces all teams, people and calendars, for alerts that come and
// messages that are written from now on.
func (a *Alerter) SetPeople(d *people.Directory) { a.people.Store(d) }

// People is what is in force; it may be nil, which knows nobody.
func (a *Alerter) People() *people.Directory { return a.people.Load() }

func (a *Alerter) team(labels model.LabelSet) string {
	return a.people.Load().Owner(string(labels[people.LabelFunction]))
}

func (a *Alerter) channel(team string) string { return a.people.Load().Channel(team) }
