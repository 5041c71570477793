package chat

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// States of a card, for the template's colours.
const (
	firing   = "firing"
	claimed  = "claimed"
	silenced = "silenced"
	resolved = "resolved"
)

// texts is how many variables hold the message: text, text2, text3.
const texts = 3

// face are the variables of a card that follow the state of its matter.
func (c *Chat) face(s claim.State, now time.Time) map[string]string {
	w := c.words()
	p := map[string]string{"state": firing}
	var status []string
	say := func(format string, args ...any) { status = append(status, fmt.Sprintf(format, args...)) }
	if s.Raised != nil {
		say(w.raised, s.Level, s.Raised.ID, c.clock(s.Raised.At))
	}
	claimedBy, silencedBy := s.Claim(now), s.Silence(now)
	if claimedBy != nil {
		p["state"] = claimed
		say(w.claimed, claimedBy.By.Name, c.clock(claimedBy.At))
	} else if s.Open() {
		say("%s", w.unclaimed)
	}
	if silencedBy != nil {
		p["state"] = silenced
		say(w.silenced, silencedBy.By.Name, c.clock(silencedBy.Until))
	}
	if !s.Open() {
		p["state"] = resolved
		say(w.resolved, c.clock(s.Ended))
	}
	p["status"] = strings.Join(status, " · ")
	can := func(name string, yes bool) { p["can_"+name] = strconv.FormatBool(yes && s.Open()) }
	can("claim", claimedBy == nil)
	can("silence", silencedBy == nil)
	can("escalate", s.Level < c.cfg.Steps)
	can("release", claimedBy != nil)
	return p
}

// still are the variables of a card without buttons.
func still(state string) map[string]string {
	return map[string]string{"state": state, "status": "", "can_claim": "false", "can_silence": "false", "can_escalate": "false", "can_release": "false"}
}

// params are all variables of the card of a message with that text.
func (c *Chat) params(m dingtalk.Message, text string, now time.Time) (p map[string]string, key string) {
	p = still(firing)
	if len(m.About) == 1 {
		g := m.About[0]
		key = g.Key
		if !g.Firing() {
			p = still(resolved)
		}
		if s, ok := c.book.Find(key); ok && m.Part <= 1 {
			p = c.face(s, now)
		}
	}
	p["title"] = m.Title
	for i := range texts {
		p[textName(i)] = ""
	}
	for i, page := range dingtalk.Pages(withoutTitle(text), texts) {
		p[textName(i)] = page
	}
	return p, key
}

func textName(i int) string {
	if i == 0 {
		return "text"
	}
	return "text" + strconv.Itoa(i+1)
}

// withoutTitle leaves out the heading that markdown begins with: a card has a title
// of its own.
func withoutTitle(text string) string {
	if head, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(head, "### ") {
		return strings.TrimLeft(rest, "\n")
	}
	return text
}

// shown is what tells whether a card must be changed.
func shown(face map[string]string) string {
	text, _ := json.Marshal(face) // strings always encode, in the order of their keys
	h := fnv.New64a()
	h.Write(text)
	return strconv.FormatUint(h.Sum64(), 36)
}

// cardPrefix begins the IDs of our cards.
const cardPrefix = "kd"

// cardID is the same for the same part of the same message, so that a second try
// does not make a second card. Origin keeps messages of another outbox apart, which
// counts from one too.
func cardID(origin string, m dingtalk.Message) string {
	key, sequences := "", fnv.New64a()
	for _, g := range m.About {
		key = g.Key
		fmt.Fprintln(sequences, g.Key, g.Sequence)
	}
	if len(m.About) != 1 {
		key = ""
	}
	return fmt.Sprintf("%s-%s-%s-%x-%d", cardPrefix, origin, hash(key), sequences.Sum64(), m.Part)
}

func hash(key string) string {
	h := fnv.New64a()
	h.Write([]byte(key))
	return fmt.Sprintf("%016x", h.Sum64())
}

// parseCardID takes the ID of a card apart; ok is false for cards of others.
func parseCardID(id string) (origin, matter string, ok bool) {
	parts := strings.Split(id, "-")
	if len(parts) < 5 || parts[0] != cardPrefix || parts[1] == "" || len(parts[2]) != 16 {
		return "", "", false
	}
	return parts[1], parts[2], true
}
