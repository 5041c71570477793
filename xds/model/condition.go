package model

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// Condition is a condition on a header or on a parameter of the query. Names of
// headers are lower case.
type Condition struct {
	Name string
	api.Matcher

	regex *regexp.Regexp // of MatchRegex, the whole value
}

// conditions are sorted by name. An expression that does not compile matches
// nothing; firstProblem has named it.
func conditions(m map[string]api.Matcher, nameOf func(string) string) []Condition {
	var cs []Condition
	for name, matcher := range m {
		c := Condition{Name: nameOf(name), Matcher: matcher}
		if matcher.Kind == api.MatchRegex {
			c.regex, _ = wholeValue(matcher.Text)
		}
		cs = append(cs, c)
	}
	slices.SortFunc(cs, func(a, b Condition) int { return cmp.Compare(a.Name, b.Name) })
	return cs
}

// wholeValue is an expression that has to match from the beginning to the end, as
// gateways take them.
func wholeValue(expression string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expression); err != nil {
		return nil, err // without the frame
	}
	return regexp.Compile(`\A(?:` + latin1(expression) + `)\z`)
}

// latin1 makes a character of each byte, as gateways do: they compare bytes, and
// know nothing of UTF-8.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// holds tells whether one of a header's values, or the one of a parameter,
// fulfils the condition.
func (c Condition) holds(values []string) bool {
	switch c.Kind {
	case api.MatchPresent:
		return len(values) > 0
	case api.MatchAbsent:
		return len(values) == 0
	}
	return slices.ContainsFunc(values, c.takes)
}

func (c Condition) takes(value string) bool {
	switch c.Kind {
	case api.MatchPrefix:
		return strings.HasPrefix(value, c.Text)
	case api.MatchSuffix:
		return strings.HasSuffix(value, c.Text)
	case api.MatchContains:
		return strings.Contains(value, c.Text)
	case api.MatchRegex:
		return c.regex != nil && c.regex.MatchString(latin1(value))
	default:
		return value == c.Text
	}
}

func allHold(cs []Condition, values Values) bool {
	for _, c := range cs {
		if !c.holds(values(c.Name)) {
			return false
		}
	}
	return true
}

// Query gives the values of a parameter of a query, which is what stands behind
// the question mark. Of equal parameters the first counts; nothing is decoded.
func Query(query string) Values {
	return func(name string) []string {
		for part := range strings.SplitSeq(query, "&") {
			if key, value, _ := strings.Cut(part, "="); key == name {
				return []string{value}
			}
		}
		return nil
	}
}

// wrongConditions says which condition cannot be asked for, or "".
func wrongConditions(rt api.Route) string {
	for _, all := range []map[string]api.Matcher{rt.Headers, rt.Query} {
		for name, m := range all {
			if _, err := wholeValue(m.Text); m.Kind == api.MatchRegex && err != nil {
				return fmt.Sprintf("the condition on %s: %v", name, err)
			}
		}
	}
	return ""
}
