package people

import (
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Name is how the person with one of DingTalk's user ids is called; the id itself
// when nobody has it.
func (d *Directory) Name(userID string) string {
	if name := d.byUser(userID); name != "" {
		p, _ := d.Person(name)
		return p.Name
	}
	return userID
}

// byUser is the resource of the person with that user id, or nothing.
func (d *Directory) byUser(userID string) string {
	if d == nil || userID == "" {
		return ""
	}
	for name, p := range d.people {
		if p.UserID == userID {
			return name
		}
	}
	return ""
}

// May reports whether the person with that user id may answer to g: whoever belongs
// to one of the teams that its alerts are given to, and everybody where there is no
// team. Teams names those whose it is, for the others.
func (d *Directory) May(userID string, g dingtalk.Group) (teams string, may bool) {
	of := d.teamsOf(g)
	if len(of) == 0 {
		return "", true
	}
	name := d.byUser(userID)
	return strings.Join(of, ", "), name != "" && slices.Contains(d.membersOf(of), name)
}

// Answerers are the names, as people call them, of those who may answer to g, in
// order; empty where everybody may.
func (d *Directory) Answerers(g dingtalk.Group) []string {
	var names []string
	for _, m := range d.membersOf(d.teamsOf(g)) {
		if p, ok := d.Person(m); ok {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// teamsOf are the teams that a group's alerts are given to, in order.
func (d *Directory) teamsOf(g dingtalk.Group) []string {
	if d == nil {
		return nil
	}
	var teams []string
	for _, a := range g.Alerts {
		if t := a.Labels[LabelTeam]; d.knows(t) && !slices.Contains(teams, t) {
			teams = append(teams, t)
		}
	}
	slices.Sort(teams)
	return teams
}

func (d *Directory) membersOf(teams []string) []string {
	var all []string
	for _, t := range teams {
		all = append(all, d.Members(t)...)
		if c, ok := d.calendars[d.teams[t].OnCall]; ok { // who is on call for a team may answer for it
			all = append(all, c.Rotation...)
			for _, o := range c.Overrides {
				all = append(all, o.Person)
			}
		}
	}
	return all
}

// maxTurns bounds how far ahead the next person is looked for.
const maxTurns = 200

// CalledAfter are the names of those who are called for a team when that many steps
// upwards were taken: without any [Directory.Called], and for each step the person
// who is on call next after those. Without a calendar all members are called each
// time, and so is the only person of a calendar.
func (d *Directory) CalledAfter(team string, at time.Time, steps int) []string {
	if d == nil || steps <= 0 {
		return d.Called(team, at)
	}
	c, ok := d.calendars[d.teams[team].OnCall]
	if !ok {
		return d.Called(team, at)
	}
	var order []string
	for _, t := range Between(c, at, at.AddDate(2, 0, 0), maxTurns) {
		if !slices.Contains(order, t.Person) {
			order = append(order, t.Person)
		}
	}
	return []string{order[steps%len(order)]}
}
