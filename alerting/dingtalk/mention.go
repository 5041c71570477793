package dingtalk

import (
	"slices"
	"strings"
)

// Person is somebody whom a message mentions. Mobile is a Chinese number as it is
// dialled, such as 13800000000, or another country's as +852-12345678; with both
// given, UserID is used, for it does not change with the number.
type Person struct {
	Name   string // for messages that cannot mention
	Mobile string
	UserID string
}

// Audience is for whom a message is written.
type Audience struct {
	Lang   string   // Chinese or English; empty: the renderer's
	Team   string   // name of the team whose matter it is; empty: nobody's
	People []Person // to be mentioned, in this order
}

// mention is the text that, together with the fields of the message, makes
// DingTalk ring somebody's phone.
func (p Person) mention() string {
	if p.UserID != "" {
		return "@" + p.UserID
	}
	if p.Mobile != "" {
		return "@" + p.Mobile
	}
	return plain(p.Name)
}

// mentions is the line that names people.
func mentions(people []Person) string {
	all := make([]string, 0, len(people))
	for _, p := range people {
		if s := p.mention(); s != "" && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

// callable are the people whom DingTalk can ring.
func callable(people []Person) bool {
	return slices.ContainsFunc(people, func(p Person) bool { return p.UserID != "" || p.Mobile != "" })
}

// mention puts people into the fields that ring their phones; the text must name
// them already.
func (m *Message) mention(people []Person) {
	for _, p := range people {
		switch {
		case p.UserID != "" && !slices.Contains(m.AtUsers, p.UserID):
			m.AtUsers = append(m.AtUsers, p.UserID)
		case p.UserID == "" && p.Mobile != "" && !slices.Contains(m.AtMobiles, p.Mobile):
			m.AtMobiles = append(m.AtMobiles, p.Mobile)
		}
	}
}
