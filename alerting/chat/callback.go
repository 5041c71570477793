package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk/stream"
)

// press is what a callback says.
type press struct {
	card, user string
	action     claim.Action
}

// parsePress reads the data of a callback. Which button it was is said by its
// parameter "action", or by its ID.
func parsePress(data []byte) (p press, err error) {
	var outer struct {
		Card    string `json:"outTrackId"`
		User    string `json:"userId"`
		Content string `json:"content"`
		Value   string `json:"value"`
	}
	if err := json.Unmarshal(data, &outer); err != nil {
		return p, errors.New("callback is no JSON")
	}
	type params struct {
		Action string `json:"action"`
	}
	var inner struct {
		Private struct {
			Actions []string `json:"actionIds"`
			Params  params   `json:"params"`
		} `json:"cardPrivateData"`
		Params params `json:"params"`
	}
	content := outer.Content
	if content == "" {
		content = outer.Value
	}
	if err := json.Unmarshal([]byte(content), &inner); err != nil {
		return p, errors.New("callback without content")
	}
	names := append([]string{inner.Private.Params.Action, inner.Params.Action}, inner.Private.Actions...)
	for _, name := range names {
		if a := claim.Action(name); a.Known() {
			return press{outer.Card, outer.User, a}, nil
		}
	}
	return p, errors.New("callback of a button that is none of ours")
}

// errElsewhere leaves a callback unanswered, so that DingTalk pushes it again: the
// next time perhaps to the instance that knows the card.
var errElsewhere = errors.New("the card is of another instance")

// accept takes one callback of an app.
func (c *Chat) accept(_ context.Context, of app, call stream.Callback) error {
	p, err := parsePress(call.Data)
	if err != nil {
		c.log.Warn("callback passed over", "id", call.ID, "err", err)
		return nil // would be the same the next time
	}
	origin, matter, ok := parseCardID(p.card)
	if !ok {
		c.log.Warn("callback of a card that is none of ours", "id", call.ID)
		return nil
	}
	s, known := c.find(matter)
	if !known && origin != c.origin {
		return errElsewhere
	}
	a := claim.Answer{ID: of.id + " " + call.ID, Key: s.Key, Action: p.action, By: claim.Person{Name: p.user, UserID: p.user}, At: c.now(), Via: "card", Card: p.card}
	if !known {
		c.refuse(of, a, claim.ErrUnknown)
		return nil
	}
	name, err := c.who(p.user, s)
	if err != nil {
		c.refuse(of, a, err)
		return nil
	}
	a.By.Name = name
	if robot := c.robotOf(of, p.card, s); robot != "" {
		if err := c.book.AddCard(s.Key, claim.Card{Robot: robot, ID: p.card}); err != nil {
			return fmt.Errorf("remember card: %w", err)
		}
	}
	return c.book.Accept(a)
}

func (c *Chat) who(user string, s claim.State) (name string, err error) {
	if c.cfg.Who == nil {
		return user, nil
	}
	return c.cfg.Who(user, s.Group)
}

// find is the matter whose key has that hash.
func (c *Chat) find(matter string) (claim.State, bool) {
	for _, s := range c.book.List() {
		if hash(s.Key) == matter {
			return s, true
		}
	}
	return claim.State{}, false
}

// robotOf is the robot that sent a card: the one it is kept under, or the first of
// the app.
func (c *Chat) robotOf(of app, card string, s claim.State) string {
	for _, known := range s.Cards {
		if known.ID == card {
			return known.Robot
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	first := ""
	for name, r := range c.robots {
		if r.app == of && (first == "" || name < first) {
			first = name
		}
	}
	return first
}
