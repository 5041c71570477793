package dingtalk

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Alert is one alert of a group.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt,omitzero"` // zero: firing
	Fingerprint string            `json:"fingerprint"`     // same labels, same fingerprint
}

// Firing reports whether the alert has not ended.
func (a Alert) Firing() bool { return a.EndsAt.IsZero() }

// Group is what one message is about: alerts that Alertmanager put together.
type Group struct {
	Key      string            `json:"key"`      // Alertmanager's group key
	Sequence uint64            `json:"sequence"` // of the message; 0: not numbered
	Labels   map[string]string `json:"labels"`   // those that the alerts were grouped by
	Alerts   []Alert           `json:"alerts"`
	// Escalated counts the steps upwards that led to this message; 0: it is told as
	// usual.
	Escalated int `json:"escalated,omitempty"`
}

// ID is short and stays the same as long as the group exists, such as #A3F2: it
// ties the messages of one matter together.
func (g Group) ID() string {
	h := fnv.New32a()
	h.Write([]byte(g.Key))
	s := h.Sum32()
	return fmt.Sprintf("#%04X", (s>>16)^(s&0xffff))
}

// Mark is ID and the number of the message. A message that arrives twice
// carries the same mark twice.
func (g Group) Mark() string {
	if g.Sequence == 0 {
		return g.ID()
	}
	return fmt.Sprintf("%s-%d", g.ID(), g.Sequence)
}

// Firing reports whether any alert has not ended.
func (g Group) Firing() bool { return slices.ContainsFunc(g.Alerts, Alert.Firing) }

// Name is the alertname that all alerts share, or of the worst alert.
func (g Group) Name() string {
	if n := g.Labels["alertname"]; n != "" {
		return n
	}
	if a := g.sorted(); len(a) > 0 {
		return a[0].Labels["alertname"]
	}
	return ""
}

// Severity is the worst of the alerts' severities.
func (g Group) Severity() string {
	if a := g.sorted(); len(a) > 0 {
		return a[0].Labels["severity"]
	}
	return ""
}

// Urgent reports whether the group is a page, firing or resolved: a resolved
// page ends somebody's work at night and goes out as fast.
func (g Group) Urgent() bool { return rank(g.Severity()) == 0 }

// Rank orders groups, the worst first: what fires before what ended, pages
// before tickets.
func (g Group) Rank() int {
	r := rank(g.Severity())
	if !g.Firing() {
		r += len(severities) + 1
	}
	return r
}

// Merge is newer, with the ended alerts of older that newer says nothing about:
// a message that waits can be replaced by a later one without hiding that
// something ended.
func Merge(older, newer Group) Group {
	for _, a := range older.Alerts {
		same := func(b Alert) bool { return a.Fingerprint == b.Fingerprint }
		if !a.Firing() && !slices.ContainsFunc(newer.Alerts, same) {
			newer.Alerts = append(slices.Clip(newer.Alerts), a)
		}
	}
	return newer
}

// severities from the worst on.
var severities = [...]string{"page", "critical", "ticket", "warning", "info"}

func rank(severity string) int {
	switch severity {
	case "page", "critical":
		return 0
	}
	if i := slices.Index(severities[:], severity); i >= 0 {
		return i
	}
	return len(severities)
}

// sorted are the alerts, the worst first: firing, severity, age.
func (g Group) sorted() []Alert {
	s := slices.Clone(g.Alerts)
	slices.SortStableFunc(s, func(a, b Alert) int {
		if a.Firing() != b.Firing() {
			if a.Firing() {
				return -1
			}
			return 1
		}
		return cmp.Or(
			cmp.Compare(rank(a.Labels["severity"]), rank(b.Labels["severity"])),
			a.StartsAt.Compare(b.StartsAt),
			strings.Compare(a.Labels["function"], b.Labels["function"]),
			strings.Compare(a.Labels["zone"], b.Labels["zone"]),
			strings.Compare(a.Fingerprint, b.Fingerprint))
	})
	return s
}
