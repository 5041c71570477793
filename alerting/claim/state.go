package claim

import (
	"slices"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Action is what somebody answers to a message.
type Action string

// The actions.
const (
	Claim    Action = "claim"    // I take care of it
	Release  Action = "release"  // I no longer do
	Silence  Action = "silence"  // no more messages about it for a while
	Escalate Action = "escalate" // somebody else must know, now
)

// Actions are all of them, in the order in which they are offered.
func Actions() []Action { return []Action{Claim, Silence, Escalate, Release} }

// Known reports whether a is one of [Actions].
func (a Action) Known() bool { return slices.Contains(Actions(), a) }

// Person is who answers.
type Person struct {
	Name   string `json:"name"`
	UserID string `json:"userId,omitempty"` // DingTalk's; empty: not known
}

// Answer is one answer of one person to one matter.
type Answer struct {
	ID     string        `json:"id"` // the same answer has the same ID, however often it comes
	Key    string        `json:"key"`
	Action Action        `json:"action"`
	By     Person        `json:"by"`
	At     time.Time     `json:"at"`
	For    time.Duration `json:"for,omitempty"`  // of claims and silences; 0: the usual time
	Via    string        `json:"via,omitempty"`  // card, link or command
	Card   string        `json:"card,omitempty"` // that was pressed
}

// Mark is something that somebody did.
type Mark struct {
	By    Person    `json:"by"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
	ID    string    `json:"id,omitempty"` // of the silence
	Via   string    `json:"via,omitempty"`
}

// Card is a card that shows a matter.
type Card struct {
	Robot    string `json:"robot"`
	ID       string `json:"id"`
	Sequence uint64 `json:"sequence"`        // of the message that it shows
	Shown    string `json:"shown,omitempty"` // what was written on it last
}

// State is what is known about one matter.
type State struct {
	Key     string         `json:"key"` // Alertmanager's group key
	Channel string         `json:"channel"`
	Group   dingtalk.Group `json:"group"`  // as told last, with its first few alerts
	Alerts  int            `json:"alerts"` // in all, of the message told last
	Since   time.Time      `json:"since"`  // told first
	Ended   time.Time      `json:"ended,omitzero"`

	Claimed  *Mark     `json:"claimed,omitempty"`
	Silenced *Mark     `json:"silenced,omitempty"`
	Level    int       `json:"level,omitempty"` // steps taken upwards
	Raised   *Mark     `json:"raised,omitempty"`
	Due      time.Time `json:"due,omitzero"`   // of the next step; zero: none
	Owed     []string  `json:"owed,omitempty"` // channels that were told by steps and not yet of the end
	Cards    []Card    `json:"cards,omitempty"`
}

// ID is short, such as #A3F2, and stands in all messages of the matter.
func (s State) ID() string { return s.Group.ID() }

// Open reports whether the matter has not ended.
func (s State) Open() bool { return s.Ended.IsZero() }

// Claim is the claim that counts at that moment, or nil.
func (s State) Claim(now time.Time) *Mark { return current(s.Claimed, now) }

// Silence is the silence that counts at that moment, or nil.
func (s State) Silence(now time.Time) *Mark { return current(s.Silenced, now) }

func current(m *Mark, now time.Time) *Mark {
	if m == nil || (!m.Until.IsZero() && !now.Before(m.Until)) {
		return nil
	}
	return m
}

// clone shares nothing that changes.
func (s State) clone() State {
	s.Cards = slices.Clone(s.Cards)
	return s
}

// kept bounds the alerts that a state holds, which is what a message lists.
const kept = 10

// trim is g with its first few alerts, firing ones first.
func trim(g dingtalk.Group) dingtalk.Group {
	if len(g.Alerts) <= kept {
		return g
	}
	alerts := make([]dingtalk.Alert, 0, kept)
	for _, firing := range []bool{true, false} {
		for _, a := range g.Alerts {
			if a.Firing() == firing && len(alerts) < kept {
				alerts = append(alerts, a)
			}
		}
	}
	g.Alerts = alerts
	return g
}
