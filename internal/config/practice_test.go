package config

import (
	"strings"
	"testing"
)

func TestPractice(t *testing.T) {
	c, problems := Parse("p.yaml", []byte("practice: {times: [\"Tue 10:00\", \"daily 23:30\"], zones: [zb-a], hold: 2m}\n"))
	if len(problems) > 0 || len(c.Practice.Weekly()) != 2 {
		t.Errorf("got %+v, %v", c.Practice, problems)
	}
	_, problems = Parse("p.yaml", []byte("practice:\n  times: [\"Tue 10:00\", at noon]\n  window: 25h\n  zones: [\"\"]\n  hold: 0s\n  remindIn: -1h\n"))
	text := problems.Error()
	for _, want := range []string{
		`p.yaml:2: practice.times[1]: is "at noon", want a day and a time such as Tue 10:00, or daily 10:00`,
		"p.yaml:3: practice.window", "p.yaml:4: practice.zones[0]: is empty", "p.yaml:5: practice.hold", "p.yaml:6: practice.remindIn",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}
