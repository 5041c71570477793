package outbox

import (
	"strings"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// digestMost bounds what is tried: a message has no room for more marks.
const digestMost = 600

// digest renders as many of the entries as one message names, the worst first, and
// cuts the others off the choice: they wait for the next one.
func (o *Outbox) digest(ch *choice) dingtalk.Message {
	ch.entries = ch.entries[:min(len(ch.entries), digestMost)]
	for {
		groups := make([]dingtalk.Group, len(ch.entries))
		for i, e := range ch.entries {
			groups[i] = e.group
		}
		m := o.cfg.Renderer.Digest(groups)
		n := namedIn(m.Text, groups)
		if n == len(groups) {
			return m
		}
		ch.entries = ch.entries[:max(n, 1)]
		if len(groups) == 1 {
			return m
		}
	}
}

// namedIn is how many groups, from the first one on, the text names by their marks.
func namedIn(text string, groups []dingtalk.Group) int {
	for i, g := range groups {
		if !hasMark(text, g.Mark()) {
			return i
		}
	}
	return len(groups)
}

// hasMark does not take #A3F2-17 for #A3F2-1.
func hasMark(text, mark string) bool {
	for {
		_, after, found := strings.Cut(text, mark)
		if !found {
			return false
		}
		if after == "" || after[0] < '0' || after[0] > '9' {
			return true
		}
		text = after
	}
}
