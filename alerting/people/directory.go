package people

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/api"
)

// Labels that say whose an alert is.
const (
	LabelFunction = "function"
	LabelTeam     = "team" // name of a Team, or of a Person who owns alone
)

// Directory knows teams, people and calendars. The zero value, and nil, know
// nobody. It may be used from several goroutines.
type Directory struct {
	people    map[string]api.PersonSpec
	teams     map[string]api.TeamSpec
	calendars map[string]api.Calendar
	owners    map[string]string // of functions, where they are a Team or a Person
}

// New reads the resources of set, which must be valid; a calendar that is not is
// left out, and all members of its team are called.
func New(set api.Set) *Directory {
	d := &Directory{
		people: map[string]api.PersonSpec{}, teams: map[string]api.TeamSpec{},
		calendars: map[string]api.Calendar{}, owners: map[string]string{},
	}
	for _, p := range set.People {
		d.people[p.Name] = p.Spec
	}
	for _, t := range set.Teams {
		d.teams[t.Name] = t.Spec
	}
	for _, o := range set.OnCalls {
		if c, err := o.Spec.Calendar(); err == nil {
			d.calendars[o.Name] = c
		}
	}
	for _, f := range set.Functions {
		if d.knows(f.Owner) {
			d.owners[f.Name] = f.Owner
		}
	}
	return d
}

func (d *Directory) knows(owner string) bool {
	_, team := d.teams[owner]
	_, person := d.people[owner]
	return team || person
}

// Owner is the team or person that a function belongs to; empty: nobody.
func (d *Directory) Owner(function string) string {
	if d == nil {
		return ""
	}
	return d.owners[function]
}

// Channel is where the alerts of a team or person go; empty: to the default.
func (d *Directory) Channel(team string) string {
	if d == nil {
		return ""
	}
	if t, ok := d.teams[team]; ok {
		return t.Channel
	}
	return d.people[team].Channel
}

// Members are the names of those who belong to a team; of a person, that person.
func (d *Directory) Members(team string) []string {
	if d == nil {
		return nil
	}
	if t, ok := d.teams[team]; ok {
		return slices.Clone(t.Members)
	}
	if _, ok := d.people[team]; ok {
		return []string{team}
	}
	return nil
}

// Person is somebody by the name of the resource.
func (d *Directory) Person(name string) (dingtalk.Person, bool) {
	if d == nil {
		return dingtalk.Person{}, false
	}
	p, ok := d.people[name]
	shown := p.Name
	if shown == "" {
		shown = name
	}
	return dingtalk.Person{Name: shown, Mobile: p.Mobile, UserID: p.UserID}, ok
}

// Called are the names of those who are called for a team at a moment: who is on
// call, or all members where there is no calendar.
func (d *Directory) Called(team string, at time.Time) []string {
	if d == nil {
		return nil
	}
	if c, ok := d.calendars[d.teams[team].OnCall]; ok {
		return []string{At(c, at).Person}
	}
	return d.Members(team)
}

// Audience is for whom a message about g is written at a moment. A group of
// several teams is everybody's.
func (d *Directory) Audience(g dingtalk.Group, at time.Time) dingtalk.Audience {
	var to dingtalk.Audience
	if d == nil {
		return to
	}
	byTeam := map[string]dingtalk.Group{}
	for _, a := range g.Alerts {
		if team := a.Labels[LabelTeam]; d.knows(team) {
			own := byTeam[team]
			own.Alerts = append(own.Alerts, a)
			byTeam[team] = own
		}
	}
	for i, team := range slices.Sorted(maps.Keys(byTeam)) {
		lang, mention := d.manners(team)
		switch {
		case i == 0:
			to.Team, to.Lang = team, lang
		default:
			to.Team += ", " + team
			if lang != to.Lang {
				to.Lang = ""
			}
		}
		if wanted(mention, byTeam[team]) {
			to.People = d.add(to.People, d.CalledAfter(team, at, g.Escalated))
		}
	}
	return to
}

func (d *Directory) manners(owner string) (lang, mention string) {
	if t, ok := d.teams[owner]; ok {
		return t.Language, t.Mention
	}
	p := d.people[owner]
	return p.Language, p.Mention
}

// wanted says whether people want to be mentioned for g.
func wanted(mention string, g dingtalk.Group) bool {
	switch mention {
	case api.MentionNever:
		return false
	case api.MentionAlways:
		return g.Firing()
	}
	return g.Firing() && g.Urgent()
}

func (d *Directory) add(people []dingtalk.Person, names []string) []dingtalk.Person {
	for _, name := range names {
		if p, ok := d.Person(name); ok && !slices.Contains(people, p) {
			people = append(people, p)
		}
	}
	return people
}

// Calendars are the names of all calendars, sorted.
func (d *Directory) Calendars() []string {
	if d == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(d.calendars))
}

// Calendar is one by name.
func (d *Directory) Calendar(name string) (api.Calendar, error) {
	if d != nil {
		if c, ok := d.calendars[name]; ok {
			return c, nil
		}
	}
	return api.Calendar{}, fmt.Errorf("on-call calendar %q: there is none of that name", name)
}

// TeamsOf are the names of the teams that call whom a calendar names, sorted.
func (d *Directory) TeamsOf(calendar string) []string {
	teams := []string{}
	if d == nil {
		return teams
	}
	for name, t := range d.teams {
		if t.OnCall == calendar {
			teams = append(teams, name)
		}
	}
	slices.Sort(teams)
	return teams
}
