package api

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

var (
	mobilePattern = regexp.MustCompile(`^(1[0-9]{10}|\+[1-9][0-9]{0,3}-[0-9]{4,14})$`)
	userPattern   = regexp.MustCompile(`^[A-Za-z0-9_.$:@-]{1,64}$`)
)

func (p *Person) check(r *report) {
	r.metadata(&p.Metadata)
	s := p.Spec
	if s.Mobile == "" && s.UserID == "" {
		r.add("spec", "can be reached by nothing, want mobile: or userId:")
	}
	if s.Mobile != "" && !mobilePattern.MatchString(s.Mobile) {
		// The number itself is nobody's business who reads a log of problems.
		r.add("spec.mobile", "is no number that DingTalk can mention, want 13800000000, or +852-12345678 of another country")
	}
	if s.UserID != "" && !userPattern.MatchString(s.UserID) {
		r.add("spec.userId", "is %s, want at most 64 letters, digits and _ . $ : @ -", quote(s.UserID))
	}
	r.told(s.Language, s.Mention)
}

func (t *Team) check(r *report) {
	r.metadata(&t.Metadata)
	if len(t.Spec.Members) == 0 {
		r.add("spec.members", "is missing, want names of Persons")
	}
	r.unique("spec.members", t.Spec.Members)
	r.told(t.Spec.Language, t.Spec.Mention)
}

// told checks how people are told.
func (r *report) told(language, mention string) {
	if language != "" && language != "zh" && language != "en" {
		r.add("spec.language", "is %s, want zh or en", quote(language))
	}
	if words := []string{MentionPages, MentionAlways, MentionNever}; mention != "" && !slices.Contains(words, mention) {
		r.add("spec.mention", "is %s, want %s", quote(mention), oneOf(words))
	}
}

func (o *OnCall) check(r *report) {
	r.metadata(&o.Metadata)
	s := o.Spec
	parses := func(field, layout, text, want string) {
		if _, err := time.Parse(layout, text); err != nil {
			r.add(field, "%s, want %s", isOrMissing(text), want)
		}
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "" || s.TimeZone == "Local" {
		r.add("spec.timeZone", "%s, want a name such as Asia/Shanghai", isOrMissing(s.TimeZone))
	}
	parses("spec.start", layoutDate, s.Start, "a date such as 2026-11-02")
	parses("spec.handover", layoutClock, s.Handover, "a time of day such as 10:00")
	if s.ShiftDays < 1 || s.ShiftDays > 90 {
		r.add("spec.shiftDays", "is %d, want a whole number of days from 1 to 90", s.ShiftDays)
	}
	if len(s.Rotation) == 0 {
		r.add("spec.rotation", "is missing, want names of Persons")
	}
	for i, v := range s.Overrides {
		field := fmt.Sprintf("spec.overrides[%d]", i)
		parses(field+".from", layoutLocal, v.From, "a time such as 2026-12-24T18:00")
		parses(field+".until", layoutLocal, v.Until, "a time such as 2026-12-26T10:00")
	}
	o.checkSpans(r)
}

// checkSpans reports overrides that end before they begin, or leave open which of
// two people is on call.
func (o *OnCall) checkSpans(r *report) {
	c, err := o.Spec.Calendar()
	if err != nil {
		return // check says it better
	}
	for i, s := range c.Overrides {
		field := fmt.Sprintf("spec.overrides[%d]", i)
		if !s.From.Before(s.Until) {
			r.add(field+".until", "is %s, not after from: want a later time", quote(o.Spec.Overrides[i].Until))
			continue
		}
		for j, t := range c.Overrides[:i] {
			if s.From.Before(t.Until) && t.From.Before(s.Until) {
				r.add(field, "overlaps with spec.overrides[%d], want one person on call at a time", j)
				break
			}
		}
	}
}

// people checks the people and calendars that teams and calendars name.
func (v validation) people(s Set) {
	people := directoryOf(s.People, KindPerson, s.Broken)
	calendars := directoryOf(s.OnCalls, KindOnCall, s.Broken)
	teams := directoryOf(s.Teams, KindTeam, s.Broken)
	channels := directoryOf(s.Robots, KindRobot, s.Broken)
	for name := range directoryOf(s.Channels, KindChannel, s.Broken).has {
		channels.has[name], channels.names = true, append(channels.names, name)
	}
	slices.Sort(channels.names)
	reads := func(r resource, channel string) {
		if channel != "" {
			v.mustExist(r, "spec.channel", channel, channels, "Channel or Robot")
		}
	}
	for _, t := range s.Teams {
		reads(t, t.Spec.Channel)
		for i, name := range t.Spec.Members {
			v.mustExist(t, fmt.Sprintf("spec.members[%d]", i), name, people, KindPerson)
		}
		if t.Spec.OnCall != "" {
			v.mustExist(t, "spec.onCall", t.Spec.OnCall, calendars, KindOnCall)
		}
	}
	for _, o := range s.OnCalls {
		for i, name := range o.Spec.Rotation {
			v.mustExist(o, fmt.Sprintf("spec.rotation[%d]", i), name, people, KindPerson)
		}
		for i, over := range o.Spec.Overrides {
			v.mustExist(o, fmt.Sprintf("spec.overrides[%d].person", i), over.Person, people, KindPerson)
		}
	}
	for _, p := range s.People {
		reads(p, p.Spec.Channel)
		if teams.has[p.Name] { // an owner of that name would be two
			v.report(p).add("metadata.name", "is %s, the name of a Team too: want a name of its own", quote(p.Name))
		}
	}
}

// Hints are what may be meant, but probably is not: owners that are neither a Team
// nor a Person once there are any, so that nobody is told.
func Hints(s Set) Problems {
	if len(s.Teams)+len(s.People) == 0 {
		return nil
	}
	var problems Problems
	v := validation{problems: &problems}
	known := directoryOf(s.Teams, KindTeam, s.Broken)
	for name := range directoryOf(s.People, KindPerson, s.Broken).has {
		known.has[name] = true
		known.names = append(known.names, name)
	}
	for _, f := range s.Functions {
		switch {
		case f.Owner == "":
			v.report(f).add("metadata.owner", "is missing: alerts about %s go to the default receiver and mention nobody", f.Name)
		case !known.has[f.Owner]:
			text := "is " + quote(f.Owner) + ", neither a Team nor a Person: alerts go to the default receiver and mention nobody"
			if near := nearest(f.Owner, known.names); near != "" {
				text += fmt.Sprintf("; did you mean %q?", near)
			}
			v.report(f).add("metadata.owner", "%s", text)
		}
	}
	problems.Sort()
	return problems
}
