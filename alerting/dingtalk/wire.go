package dingtalk

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MaxBytes bounds the body of one message after JSON escaping. DingTalk refuses
// more than 20,000; the rest is a margin for how it counts.
const MaxBytes = 18_000

// Type is the shape of a message.
type Type string

// Shapes of messages.
const (
	Markdown   Type = "markdown"
	Text       Type = "text"       // no title, no formats: for watches and old phones
	ActionCard Type = "actionCard" // with buttons; DingTalk does not let cards mention anybody
)

// Message is what one call of a robot sends. Title is what a phone shows in its
// list of chats and in the notification; Text is the message.
type Message struct {
	Type      Type // empty: Markdown
	Title     string
	Text      string
	Buttons   []Link   // of an ActionCard, at least one
	AtMobiles []string // numbers of people to mention; Text must name them too, as @number
	AtUsers   []string // DingTalk's user ids of people to mention; Text must name them too, as @id
	AtAll     bool

	// About are the groups that the message tells of, one or those of a digest, and
	// Part which part of it this is, counted from one. They are not sent.
	About []Group
	Part  int
}

// Link is a text that leads somewhere.
type Link struct {
	Text string
	URL  string // http or https; others are shown as text
}

type wireMessage struct {
	Type     Type          `json:"msgtype"`
	Markdown *wireMarkdown `json:"markdown,omitempty"`
	Text     *wireText     `json:"text,omitempty"`
	Card     *wireCard     `json:"actionCard,omitempty"`
	At       *wireAt       `json:"at,omitempty"`
}

type wireMarkdown struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

type wireText struct {
	Content string `json:"content"`
}

type wireCard struct {
	Title   string       `json:"title"`
	Text    string       `json:"text"`
	Across  string       `json:"btnOrientation"` // "0": buttons below each other
	Buttons []wireButton `json:"btns"`
}

type wireButton struct {
	Title string `json:"title"`
	URL   string `json:"actionURL"`
}

type wireAt struct {
	Mobiles []string `json:"atMobiles,omitempty"`
	Users   []string `json:"atUserIds,omitempty"`
	All     bool     `json:"isAtAll"`
}

// Encode is the body that is sent.
func (m Message) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // < as \u003c would cost six bytes of the limit
	if err := e.Encode(m.wire()); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (m Message) wire() wireMessage {
	w := wireMessage{Type: Markdown}
	switch {
	case m.Type == Text:
		w.Type, w.Text = Text, &wireText{m.Text}
	case m.Type == ActionCard && len(m.Buttons) > 0:
		w.Type, w.Card = ActionCard, &wireCard{Title: m.Title, Text: m.Text, Across: "0"}
		for _, l := range m.Buttons {
			w.Card.Buttons = append(w.Card.Buttons, wireButton{l.Text, l.URL})
		}
	default:
		w.Markdown = &wireMarkdown{m.Title, m.Text}
	}
	if m.AtAll || len(m.AtMobiles)+len(m.AtUsers) > 0 {
		w.At = &wireAt{Mobiles: m.AtMobiles, Users: m.AtUsers, All: m.AtAll}
	}
	return w
}
