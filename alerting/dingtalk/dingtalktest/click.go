package dingtalktest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Click is what somebody does with a card.
type Click struct {
	Card   string // outTrackId
	User   string // user id
	Action string // id of the button
	// LoseAnswers drops that many answers of the client, so that the callback is
	// pushed again.
	LoseAnswers int
	Raw         string // sent as data instead of what the above make
}

func (c Click) data(corp string) (string, error) {
	if c.Raw != "" {
		return c.Raw, nil
	}
	content, err := json.Marshal(map[string]any{"cardPrivateData": map[string]any{
		"actionIds": []string{c.Action}, "params": map[string]any{"action": c.Action},
	}})
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]any{
		"extension": "{}", "corpId": corp, "spaceType": "im", "userIdType": 1, "type": "actionCallback",
		"userId": c.User, "content": string(content), "value": string(content), "spaceId": "cid", "outTrackId": c.Card,
	})
	return string(data), err
}

// Click pushes a callback to one of the connections and returns when it was
// answered: pushes says how often it had to be sent. As long as no answer comes, it
// is sent again after the waits of [App.Repeat], to whichever connection is there
// then, and is given up after that.
func (s *Server) Click(ctx context.Context, c Click) (pushes int, err error) {
	data, err := c.data("ding-corp")
	if err != nil {
		return 0, err
	}
	repeat := s.cfg.App.Repeat
	if len(repeat) == 0 {
		repeat = defaultRepeat()
	}
	s.mu.Lock()
	s.app.serial++
	id := fmt.Sprintf("message-%d", s.app.serial)
	state := &click{answered: make(chan struct{}), lose: c.LoseAnswers}
	s.app.clicks[id] = state
	s.mu.Unlock()
	// The last push gets its time too.
	for _, d := range append(slices.Clone(repeat), repeat[len(repeat)-1]) {
		if x := s.anySession(); x != nil {
			_ = s.write(ctx, x, id, state, "CALLBACK", topicCard, data) // a broken connection is as good as none
		}
		wait := time.NewTimer(d)
		select {
		case <-state.answered:
		case <-ctx.Done():
		case <-wait.C:
			continue
		}
		wait.Stop()
		return s.pushesOf(state), ctx.Err()
	}
	return s.pushesOf(state), fmt.Errorf("callback %s was not answered", id)
}

func (s *Server) pushesOf(c *click) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.pushes
}

// anySession takes turns between connections, as DingTalk does.
func (s *Server) anySession() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, x := range s.app.sessions {
		if !x.quiet {
			s.app.sessions = append(append(s.app.sessions[:i:i], s.app.sessions[i+1:]...), x)
			return x
		}
	}
	return nil
}
