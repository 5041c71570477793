package chat

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Send sends a message as a card. Its errors are [*dingtalk.SendError].
func (c *Chat) Send(ctx context.Context, name string, m dingtalk.Message) error {
	c.mu.Lock()
	r, ok := c.robots[name]
	c.mu.Unlock()
	if !ok {
		return &dingtalk.SendError{Robot: name, Kind: dingtalk.Permanent, Message: "there is no app of such a robot"}
	}
	text, at := c.mention(m)
	params, key := c.params(m, text, c.now())
	card := dingtalk.Card{ID: cardID(c.origin, m), Title: m.Title, Params: params, At: at}
	if len(m.About) == 0 { // a test: each is a new one
		card.ID += "-" + time.Now().UTC().Format("150405.000000")
	}
	id, err := r.client.Deliver(ctx, card)
	if err != nil {
		return err
	}
	if key != "" && m.Part <= 1 {
		c.keep(key, claim.Card{Robot: name, ID: id, Sequence: m.About[0].Sequence, Shown: shown(faceOf(params))})
	}
	return nil
}

// mention is the text of a message as cards name whom it mentions, and who that is.
func (c *Chat) mention(m dingtalk.Message) (text string, at map[string]string) {
	text, at = m.Text, map[string]string{}
	// The longest first: one id may begin with another.
	users := slices.SortedFunc(slices.Values(m.AtUsers), func(a, b string) int { return len(b) - len(a) })
	for _, u := range users {
		at[u] = u
		if c.cfg.Name != nil {
			at[u] = c.cfg.Name(u)
		}
		text = strings.ReplaceAll(text, "@"+u, dingtalk.CardMention(u, at[u]))
	}
	return text, at
}

// keep takes note of a card that is there. What happened to its matter meanwhile is
// put right on it.
func (c *Chat) keep(key string, card claim.Card) {
	err := c.book.AddCard(key, card)
	if errors.Is(err, claim.ErrUnknown) {
		return
	}
	if err != nil {
		c.log.Error("card cannot be written down, it will not be kept current", "err", err)
		return
	}
	if s, ok := c.book.Find(key); ok {
		c.Changed(s)
	}
}

// faceOf are the variables that follow the matter's state.
func faceOf(params map[string]string) map[string]string {
	face := map[string]string{}
	for name := range still("") {
		face[name] = params[name]
	}
	return face
}

// task is a card that must be changed, or a notice on it for one person.
type task struct {
	robot, card, key string
	user, notice     string
	fails            int
	after            time.Time // not before
	busy, again      bool
}

// Changed sees to it that the cards of a matter show its state. It returns at once.
func (c *Chat) Changed(s claim.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, card := range s.Cards {
		t := c.dirty[card.ID]
		if t == nil {
			t = &task{robot: card.Robot, card: card.ID, key: s.Key}
			c.dirty[card.ID] = t
		}
		t.again = t.busy
	}
	c.signal()
}

// Refused tells who pressed why nothing came of it.
func (c *Chat) Refused(a claim.Answer, err error) {
	s, _ := c.book.Find(a.Key)
	for _, card := range s.Cards {
		if card.ID == a.Card {
			c.tell(card.Robot, a, err)
		}
	}
}

// refuse is Refused for an answer that the book is not asked about.
func (c *Chat) refuse(of app, a claim.Answer, err error) {
	c.tell(c.robotOf(of, a.Card, claim.State{}), a, err)
}

func (c *Chat) tell(robot string, a claim.Answer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty[a.Card+" "+a.By.UserID] = &task{robot: robot, card: a.Card, user: a.By.UserID, notice: c.notice(err)}
	c.signal()
}

func (c *Chat) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// due takes the tasks to work on now; each is worked on by one at a time. Wait is
// how long there is no other.
func (c *Chat) due() (due []*task, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	wait = time.Minute
	for _, t := range c.dirty {
		switch d := t.after.Sub(now); {
		case t.busy:
		case d > 0:
			wait = min(wait, d)
		default:
			t.busy = true
			due = append(due, t)
		}
	}
	return due, wait
}

// do works on one task.
func (c *Chat) do(ctx context.Context, t *task) {
	err := c.change(ctx, t)
	c.mu.Lock()
	defer c.mu.Unlock()
	t.busy = false
	switch {
	case err != nil && dingtalk.KindOf(err) != dingtalk.Permanent && t.fails < 30:
		t.fails++
		t.after = time.Now().Add(min(time.Minute, 50*time.Millisecond<<min(t.fails, 11)))
		if t.fails == 1 {
			c.log.Warn("card cannot be changed, trying again", "robot", t.robot, "err", err)
		}
	case t.again && err == nil:
		t.again, t.fails, t.after = false, 0, time.Time{}
	default:
		if err != nil && ctx.Err() == nil {
			c.log.Error("gave up on changing a card", "robot", t.robot, "err", err)
		}
		delete(c.dirty, t.name())
	}
	c.signal()
}

func (t *task) name() string {
	if t.user != "" {
		return t.card + " " + t.user
	}
	return t.card
}

// change makes the request, if there is anything to change.
func (c *Chat) change(ctx context.Context, t *task) error {
	c.mu.Lock()
	r, ok := c.robots[t.robot]
	c.mu.Unlock()
	if !ok {
		return nil // the robot is gone, and its card with it
	}
	if t.user != "" {
		return r.client.Update(ctx, dingtalk.CardUpdate{ID: t.card, Private: map[string]map[string]string{t.user: {"notice": t.notice}}})
	}
	s, ok := c.book.Find(t.key)
	if !ok {
		return nil
	}
	face := c.face(s, c.now())
	for _, card := range s.Cards {
		if card.ID != t.card || card.Shown == shown(face) {
			continue
		}
		if err := r.client.Update(ctx, dingtalk.CardUpdate{ID: t.card, Params: face}); err != nil {
			return err
		}
		return c.book.Shown(t.key, t.card, shown(face))
	}
	return nil
}
