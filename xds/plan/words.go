package plan

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// words are what two Worlds may ask about one header, or one cookie.
type words struct {
	conditions []model.Condition
	users      []*model.Users
	literals   []string // that it is compared with, besides
}

const (
	someValue  = "kongdao-some-value" // that no condition is likely to name
	mostValues = 12                   // of one header, before nobody can try them all
)

// ways are the values that have to be tried: one for each set of conditions that a
// value can fulfil, and no value. whole is false where there may be others.
func (q words) ways() (ways [][]string, whole bool) {
	candidates, whole := q.candidates()
	ways = [][]string{nil}
	seen := map[string]bool{}
	for _, v := range candidates {
		if s := q.signature(v); !seen[s] {
			seen[s] = true
			ways = append(ways, []string{v})
		}
		if len(ways) > mostValues {
			return ways, false
		}
	}
	return ways, whole
}

// candidates are values among which each set of conditions has one. Two expressions,
// or one beside another condition, may be fulfilled by values that nobody finds.
func (q words) candidates() (all []string, whole bool) {
	begin, middle, end := []string{""}, []string{""}, []string{""}
	all, whole = append([]string{someValue}, q.literals...), true
	for i, c := range q.conditions {
		first := !slices.ContainsFunc(q.conditions[:i], func(d model.Condition) bool { return c.Matcher == d.Matcher })
		switch {
		case !first:
		case c.Kind == api.MatchPrefix:
			begin = append(begin, c.Text)
		case c.Kind == api.MatchContains:
			middle = append(middle, c.Text, middle[len(middle)-1]+someValue+c.Text)
		case c.Kind == api.MatchSuffix:
			end = append(end, c.Text)
		case c.Kind == api.MatchRegex:
			text, found := example(c.Text)
			all, whole = append(all, text), whole && found && q.alone(c)
		default:
			all = append(all, c.Text)
		}
	}
	for _, u := range q.users {
		all = append(all, u.In...)
	}
	for _, b := range begin {
		for _, m := range middle {
			for _, e := range end {
				all = append(all, b+someValue+m+someValue+e, b+m+e)
			}
		}
	}
	return all, whole
}

// alone tells whether nothing else is asked of the header.
func (q words) alone(c model.Condition) bool {
	return len(q.users)+len(q.literals) == 0 && !slices.ContainsFunc(q.conditions, func(d model.Condition) bool {
		return d.Matcher != c.Matcher && d.Kind != api.MatchPresent && d.Kind != api.MatchAbsent
	})
}

// signature says which conditions hold of a value.
func (q words) signature(value string) string {
	var b strings.Builder
	bit := func(yes bool) {
		if yes {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	}
	for _, c := range q.conditions {
		bit(c.Holds([]string{value}))
	}
	for _, u := range q.users {
		bit(u.Has(value))
	}
	for _, l := range q.literals {
		bit(value == l)
	}
	return b.String()
}

// example is a text that the whole of an expression matches; ok is false where none
// was found.
func example(expression string) (text string, ok bool) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return "", false
	}
	whole, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		return "", false
	}
	for most := range 3 {
		var b strings.Builder
		write(&b, re.Simplify(), most)
		if whole.MatchString(b.String()) && !strings.ContainsFunc(b.String(), func(r rune) bool { return r < ' ' || r > '~' }) {
			return b.String(), true
		}
	}
	return "", false
}

// write appends what an expression matches, repeating as often as it must, and up to
// most times where it may.
func write(b *strings.Builder, re *syntax.Regexp, most int) {
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		b.WriteRune(visible(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('x')
	case syntax.OpStar, syntax.OpQuest, syntax.OpRepeat, syntax.OpPlus:
		times := max(re.Min, min(most, 1))
		if re.Op == syntax.OpPlus {
			times = 1
		}
		for range min(times, 64) {
			write(b, re.Sub[0], most)
		}
	case syntax.OpConcat, syntax.OpCapture:
		for _, sub := range re.Sub {
			write(b, sub, most)
		}
	case syntax.OpAlternate:
		write(b, re.Sub[min(most, len(re.Sub)-1)], most)
	}
}

// visible is a character of a class, one that a header may have if there is one.
func visible(ranges []rune) rune {
	for i := 0; i+1 < len(ranges); i += 2 {
		if low, high := max(ranges[i], '!'), min(ranges[i+1], '~'); low <= high {
			return low
		}
	}
	if len(ranges) == 0 {
		return 'x'
	}
	return ranges[0]
}
