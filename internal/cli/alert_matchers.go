package cli

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// selection picks alerts by matchers as amtool reads them, and by function.
type selection struct {
	function string
	matchers labels.Matchers
}

// parse reads matchers. A first word without an operator is the name of an alert.
func (s *selection) parse(args []string) error {
	for i, a := range args {
		if i == 0 && !strings.ContainsAny(a, "=~!{") {
			s.matchers = append(s.matchers, &labels.Matcher{Type: labels.MatchEqual, Name: "alertname", Value: a})
			continue
		}
		ms, err := compat.Matchers(a, "cli")
		if err != nil {
			return invalid(fmt.Errorf("matcher %q: %w; want label=value, label!=value, label=~regex or label!~regex", a, err))
		}
		s.matchers = append(s.matchers, ms...)
	}
	if s.function != "" {
		s.matchers = append(s.matchers, &labels.Matcher{Type: labels.MatchEqual, Name: "function", Value: s.function})
	}
	return nil
}

// names reports whether a matcher looks at one of these labels.
func (s *selection) names(labels ...string) bool {
	for _, m := range s.matchers {
		if slices.Contains(labels, m.Name) {
			return true
		}
	}
	return false
}

// filter is the query of Alertmanager's API.
func (s *selection) filter() url.Values {
	query := url.Values{}
	for _, m := range s.matchers {
		query.Add("filter", m.String())
	}
	return query
}

// everything reports whether alerts that nobody has thought of are picked, whatever
// their labels: all of them, or all but a few.
func (s *selection) everything() bool {
	for _, m := range s.matchers {
		values := []string{"", "Zq9-unheard-of", "7", "some.thing:else"}
		if m.Name == "alertname" {
			values = values[1:] // every alert has one
		}
		if slices.ContainsFunc(values, func(v string) bool { return !m.Matches(v) }) {
			return false
		}
	}
	return true
}

// posted are the matchers of a silence.
func (s *selection) posted() models.Matchers {
	var all models.Matchers
	for _, m := range s.matchers {
		equal := m.Type == labels.MatchEqual || m.Type == labels.MatchRegexp
		regex := m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp
		all = append(all, &models.Matcher{Name: &m.Name, Value: &m.Value, IsEqual: &equal, IsRegex: &regex})
	}
	return all
}

// typed is a silence's matchers as they would be typed.
func typed(matchers models.Matchers) string {
	var all []string
	for _, m := range matchers {
		operator := "="
		switch equal := m.IsEqual == nil || *m.IsEqual; {
		case equal && *m.IsRegex:
			operator = "=~"
		case !equal && *m.IsRegex:
			operator = "!~"
		case !equal:
			operator = "!="
		}
		all = append(all, *m.Name+operator+*m.Value)
	}
	return strings.Join(all, " ")
}

// pairs are labels as they would be typed, without those named.
func pairs(set map[string]string, without ...string) string {
	var all []string
	for name, value := range set {
		if !slices.Contains(without, name) {
			all = append(all, name+"="+value)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
