package app

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/alerting/ledger"
)

// startAlertLedger stores what becomes of messages about alerts, once the tables are
// there. Without ClickHouse it stays in alerting's folder.
func (s *System) startAlertLedger() {
	if s.alerting == nil || s.ch == nil {
		return
	}
	s.life.start("alert ledger", func(ctx context.Context) error {
		return ledger.Ship(ctx, s.alerting.Ledger(), ledger.Table{Client: s.ch}, s.log.With("part", "alerting"))
	})
}

func (s *System) alertMessageRoutes(h huma.API) {
	if s.ch == nil {
		return
	}
	huma.Get(h, "/api/v1/alerts/messages", s.getAlertMessages)
	if s.alerting != nil {
		huma.Register(h, huma.Operation{
			OperationID: "post-alerts-replay", Method: http.MethodPost, Path: "/api/v1/alerts/replay", Summary: "Post alerts replay",
		}, s.postAlertReplay)
	}
}

// AlertMessageQuery chooses events of messages. Zero fields choose all.
type AlertMessageQuery struct {
	Since    time.Time `query:"since" doc:"at it or after; default: 24 hours ago"`
	Until    time.Time `query:"until" doc:"before it; default: now"`
	Channel  string    `query:"channel" doc:"messages to this channel or robot"`
	Function string    `query:"function" doc:"messages about this function"`
	Alert    string    `query:"alert" doc:"by its name"`
	Mark     string    `query:"mark" doc:"of a matter or of one of its messages, as messages show it: #A3F2 or #A3F2-17"`
	Event    string    `query:"event" enum:"accepted,tried,sent,digested,refused,unanswered,superseded,fallback,dead,claimed,silenced,escalated"`
	Limit    int       `query:"limit" default:"100" minimum:"1" maximum:"10000" doc:"the newest ones"`
}

// AlertMessages is the answer to GET /alerts/messages: what became of messages, oldest
// first.
type AlertMessages struct {
	Events []ledger.Event `json:"events"`
}

var markForm = regexp.MustCompile(`^#?([0-9A-Fa-f]{4})(?:-(\d+))?$`)

func (q AlertMessageQuery) query() (ledger.Query, error) {
	if q.Since.IsZero() {
		q.Since = time.Now().Add(-24 * time.Hour)
	}
	l := ledger.Query{Since: q.Since, Until: q.Until, Channel: q.Channel, Function: q.Function, Alert: q.Alert, Kind: ledger.Kind(q.Event), Limit: q.Limit}
	if q.Mark == "" {
		return l, nil
	}
	m := markForm.FindStringSubmatch(q.Mark)
	if m == nil {
		return l, fmt.Errorf("mark: is %q, want one as messages show it, such as #A3F2 or #A3F2-17", q.Mark)
	}
	hash, _ := strconv.ParseUint(m[1], 16, 16) // as the form says
	l.Matter = fmt.Sprintf("#%04X", hash)
	if m[2] != "" {
		n, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			return l, fmt.Errorf("mark: %w", err)
		}
		l.Sequence = n
	}
	return l, nil
}

func (s *System) getAlertMessages(ctx context.Context, in *AlertMessageQuery) (*body[AlertMessages], error) {
	q, err := in.query()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	events, err := ledger.Table{Client: s.ch}.Read(ctx, q)
	if err != nil {
		return nil, answerOf(err)
	}
	return reply(AlertMessages{Events: events}), nil
}

// AlertReplay asks for what nobody was told.
type AlertReplay struct {
	Since   time.Time `json:"since" doc:"messages accepted at it or after"`
	Until   time.Time `json:"until,omitzero" doc:"and before it; default: now"`
	Channel string    `json:"channel,omitempty" doc:"empty: all"`
	Send    bool      `json:"send,omitempty" doc:"send them again; otherwise they are only listed"`
}

// AlertReplayed is the answer to POST /alerts/replay.
type AlertReplayed struct {
	Messages []ReplayedMessage `json:"messages" doc:"oldest first"`
	Sent     bool              `json:"sent" doc:"they are accepted for their channels again"`
}

// ReplayedMessage is a message that nobody was told.
type ReplayedMessage struct {
	Mark     string    `json:"mark"`
	At       time.Time `json:"at" doc:"when it was accepted"`
	Channel  string    `json:"channel"`
	Alert    string    `json:"alert"`
	Severity string    `json:"severity"`
	Function string    `json:"function"`
	Firing   bool      `json:"firing" doc:"some of its alerts still do; otherwise it is told as ended"`
	Why      string    `json:"why" doc:"it was not delivered"`
}

func (s *System) postAlertReplay(ctx context.Context, in *body[AlertReplay]) (*body[AlertReplayed], error) {
	ask := in.Body
	now := time.Now()
	switch {
	case ask.Since.IsZero():
		return nil, huma.Error422UnprocessableEntity("since: must not be empty")
	case ask.Until.IsZero():
		ask.Until = now
	}
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	waiting, outbox := s.alerting.Pending()
	if err := s.alerting.Ledger().Settled(ctx); err != nil { // what was delivered a moment ago is not lost
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	table := ledger.Table{Client: s.ch}
	lost, err := table.Undelivered(ctx, ask.Since, ask.Until, ask.Channel, outbox, waiting)
	if err != nil {
		return nil, answerOf(err)
	}
	answer := AlertReplayed{Messages: []ReplayedMessage{}, Sent: ask.Send}
	for _, u := range lost {
		g, err := s.alerting.Again(u.Event, now)
		if err != nil {
			return nil, err
		}
		if ask.Send {
			if err := s.alerting.Put(u.Channel, g); err != nil {
				return nil, huma.Error503ServiceUnavailable(fmt.Sprintf("message %s-%d is not accepted, those before it are: %v", u.Matter, u.Sequence, err))
			}
		}
		answer.Messages = append(answer.Messages, ReplayedMessage{
			Mark: fmt.Sprintf("%s-%d", u.Matter, u.Sequence), At: u.At, Channel: u.Channel, Alert: u.Alert, Severity: u.Severity,
			Function: u.Function, Firing: g.Firing(), Why: u.Why,
		})
	}
	return reply(answer), nil
}
