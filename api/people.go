package api

import (
	"fmt"
	"time"
)

// Kinds that say who is told when something breaks. A resource's metadata.owner
// names a Team or a Person.
const (
	KindPerson = "Person"
	KindTeam   = "Team"
	KindOnCall = "OnCall"
)

// Person is somebody who can be mentioned in DingTalk.
type Person struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     PersonSpec `yaml:"spec" json:"spec"`
}

// PersonSpec is how somebody is reached: by mobile number or by user id.
type PersonSpec struct {
	Name     string `yaml:"name" json:"name,omitempty"`                                     // as people call them; empty: metadata.name
	Mobile   string `yaml:"mobile" json:"mobile,omitempty"`                                 // 13800000000, or +852-12345678 of another country
	UserID   string `yaml:"userId" json:"userId,omitempty"`                                 // DingTalk's user id; with both it is used, for it does not change with the number
	Channel  string `yaml:"channel" json:"channel,omitempty"`                               // where alerts go of what this person owns; empty: as if nobody owned it
	Language string `yaml:"language" json:"language,omitempty" want:"zh or en"`             // of those messages; empty: alerting.lang
	Mention  string `yaml:"mention" json:"mention,omitempty" want:"pages, always or never"` // of what this person owns; empty: pages
}

// Team is people who answer for functions together.
type Team struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     TeamSpec `yaml:"spec" json:"spec"`
}

// TeamSpec says who is in a team and how it is told.
type TeamSpec struct {
	Members  []string `yaml:"members" json:"members"`                                         // names of Persons
	Channel  string   `yaml:"channel" json:"channel,omitempty"`                               // where its alerts go; empty: to the default receiver
	Language string   `yaml:"language" json:"language,omitempty" want:"zh or en"`             // of its messages; empty: alerting.lang
	OnCall   string   `yaml:"onCall" json:"onCall,omitempty"`                                 // name of an OnCall: one person is mentioned; empty: all members are
	Mention  string   `yaml:"mention" json:"mention,omitempty" want:"pages, always or never"` // which alerts mention people; empty: pages
}

// Words of Mention.
const (
	MentionPages  = "pages"
	MentionAlways = "always"
	MentionNever  = "never"
)

// OnCall is a calendar that has exactly one person on call at any time.
type OnCall struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     OnCallSpec `yaml:"spec" json:"spec"`
}

// OnCallSpec is a rotation of shifts of whole days, and exceptions from it.
type OnCallSpec struct {
	TimeZone  string     `yaml:"timeZone" json:"timeZone"`                                              // of all times here, such as Asia/Shanghai
	Start     string     `yaml:"start" json:"start" want:"a date such as 2026-11-02"`                   // on which the first of the rotation takes over
	Handover  string     `yaml:"handover" json:"handover" want:"a time of day such as 10:00"`           // by the clock on the wall there, summer and winter
	ShiftDays int        `yaml:"shiftDays" json:"shiftDays" want:"a whole number of days from 1 to 90"` // 7 is a week
	Rotation  []string   `yaml:"rotation" json:"rotation"`                                              // names of Persons; after the last comes the first
	Overrides []Override `yaml:"overrides" json:"overrides,omitempty"`                                  // may not overlap
}

// Override puts somebody else on call for a while.
type Override struct {
	From   string `yaml:"from" json:"from" want:"a time such as 2026-12-24T18:00"`   // of the calendar's time zone
	Until  string `yaml:"until" json:"until" want:"a time such as 2026-12-26T10:00"` // not included
	Person string `yaml:"person" json:"person"`
}

// Layouts of an OnCallSpec's texts.
const (
	layoutDate  = time.DateOnly
	layoutClock = "15:04"
	layoutLocal = "2006-01-02T15:04"
)

// Calendar is an OnCallSpec that was read.
type Calendar struct {
	Location     *time.Location
	Start        time.Time // midnight UTC of the first day
	Hour, Minute int       // of the handover
	ShiftDays    int
	Rotation     []string
	Overrides    []Span
}

// Span is an Override that was read.
type Span struct {
	From, Until time.Time
	Person      string
}

// Calendar reads the texts; the error names the first field that is wrong.
func (s OnCallSpec) Calendar() (c Calendar, err error) {
	c = Calendar{ShiftDays: s.ShiftDays, Rotation: s.Rotation}
	if s.TimeZone == "" {
		return c, fmt.Errorf("timeZone: is missing")
	}
	if c.Location, err = time.LoadLocation(s.TimeZone); err != nil {
		return c, fmt.Errorf("timeZone: %w", err)
	}
	if c.Start, err = time.Parse(layoutDate, s.Start); err != nil {
		return c, fmt.Errorf("start: %w", err)
	}
	clock, err := time.Parse(layoutClock, s.Handover)
	if err != nil {
		return c, fmt.Errorf("handover: %w", err)
	}
	c.Hour, c.Minute = clock.Hour(), clock.Minute()
	if c.ShiftDays < 1 {
		return c, fmt.Errorf("shiftDays: %d, must be at least 1", c.ShiftDays)
	}
	if len(c.Rotation) == 0 {
		return c, fmt.Errorf("rotation: is empty")
	}
	for i, o := range s.Overrides {
		span := Span{Person: o.Person}
		if span.From, err = time.ParseInLocation(layoutLocal, o.From, c.Location); err != nil {
			return c, fmt.Errorf("overrides[%d].from: %w", i, err)
		}
		if span.Until, err = time.ParseInLocation(layoutLocal, o.Until, c.Location); err != nil {
			return c, fmt.Errorf("overrides[%d].until: %w", i, err)
		}
		c.Overrides = append(c.Overrides, span)
	}
	return c, nil
}

func (*Person) kind() string { return KindPerson }
func (*Team) kind() string   { return KindTeam }
func (*OnCall) kind() string { return KindOnCall }

func (p *Person) addTo(s *Set) { s.People = append(s.People, p) }
func (t *Team) addTo(s *Set)   { s.Teams = append(s.Teams, t) }
func (o *OnCall) addTo(s *Set) { s.OnCalls = append(s.OnCalls, o) }
