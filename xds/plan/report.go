package plan

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Report is what a change of the configuration does to some calls. Calls are counted
// as they are in the sample; Weight is how many calls those stand for.
type Report struct {
	Calls     int       `json:"calls"`
	Weight    uint64    `json:"weight"`
	From      time.Time `json:"from,omitzero"`  // of the oldest one
	Until     time.Time `json:"until,omitzero"` // of the newest one
	Unchanged int       `json:"unchanged"`
	Changed   int       `json:"changed"`
	Unknown   int       `json:"unknown"` // of which nobody can tell

	Groups   []Group `json:"changes"`  // those that change alike, most calls first
	Unknowns []Doubt `json:"unknowns"` // likewise

	Otherwise int `json:"otherwise"` // calls with which the old configuration would do something else than the record says
	Limited   int `json:"limited"`   // calls that a limit refused then; here they are calls that are served
	Skipped   int `json:"skipped"`   // records that are of no HTTP request, not among Calls

	Assumptions []string `json:"assumptions"`
}

// Group are calls that change alike.
type Group struct {
	Differences []Difference `json:"differences"` // the weightiest first; of rewrites and redirects those of the example
	Old         Taken        `json:"old"`
	New         Taken        `json:"new"`
	Calls       int          `json:"calls"`
	Weight      uint64       `json:"weight"`
	Moved       float64      `json:"moved,omitempty"` // calls of these that get another revision, where shares change
	Example     Example      `json:"example"`
}

// Example is one of the calls.
type Example struct {
	Time      time.Time `json:"ts"`
	RequestID string    `json:"request_id,omitempty"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"`
	Status    uint16    `json:"status"` // that it had
}

// Doubt are calls of which nobody can tell what becomes of them.
type Doubt struct {
	Needed  string  `json:"needed"` // what would have to be known
	Calls   int     `json:"calls"`
	Weight  uint64  `json:"weight"`
	Example Example `json:"example"`
}

// Assumptions are what is taken as given of every call.
func Assumptions() []string {
	return []string{
		"no call was for a pod that is out of rotation for a test",
		"no call that no route took, or whose route is out of use, named a revision",
		"no header is sent empty, and none that is not kept in several lines",
		"whether pages of other origins may read answers is not compared",
		"limits refuse by rates, which single calls do not show: changed limits are listed, not who meets them",
	}
}

// Run replays calls, of which each stands for as many as its sample weight says.
func (p *Replay) Run(calls []calllog.Call) Report {
	s := summary{groups: map[string]*Group{}, doubts: map[string]*Doubt{}}
	for i := range calls {
		s.add(&calls[i], p.Call(&calls[i]))
	}
	return s.report()
}

type summary struct {
	Report
	groups map[string]*Group
	doubts map[string]*Doubt
}

func (s *summary) add(c *calllog.Call, r Result) {
	if r.Skipped {
		s.Skipped++
		return
	}
	weight := uint64(max(c.SampleWeight, 1))
	s.Calls++
	s.Weight += weight
	if s.From.IsZero() || c.Time.Before(s.From) {
		s.From = c.Time
	}
	if c.Time.After(s.Until) {
		s.Until = c.Time
	}
	if r.Otherwise {
		s.Otherwise++
	}
	if c.LimitedBy != "" {
		s.Limited++
	}
	example := Example{c.Time, c.RequestID, c.Method, c.Host, c.Path, c.Status}
	switch {
	case len(r.Unknown) > 0:
		s.Report.Unknown++
		s.doubt(strings.Join(r.Unknown, ", "), weight, example)
	case len(r.Differences) > 0:
		s.Changed++
		s.group(r, weight, example)
	default:
		s.Unchanged++
	}
}

func (s *summary) doubt(needed string, weight uint64, example Example) {
	d := s.doubts[needed]
	if d == nil {
		d = &Doubt{Needed: needed, Example: example}
		s.doubts[needed] = d
	}
	d.Calls++
	d.Weight += weight
}

func (s *summary) group(r Result, weight uint64, example Example) {
	key := r.key()
	g := s.groups[key]
	if g == nil {
		g = &Group{Differences: r.Differences, Old: r.Old, New: r.New, Example: example}
		s.groups[key] = g
	}
	g.Calls++
	g.Weight += weight
	g.Moved += r.Moved
}

// key is equal for calls that change alike.
func (r Result) key() string {
	parts := []string{r.Old.Route, r.New.Route}
	for _, d := range r.Differences {
		parts = append(parts, d.Kind)
		if !d.byCall() {
			parts = append(parts, d.Old, d.New)
		}
	}
	return strings.Join(parts, "\x00")
}

func (s *summary) report() Report {
	r := s.Report
	r.Groups, r.Unknowns, r.Assumptions = []Group{}, []Doubt{}, Assumptions()
	for _, key := range sortedKeys(s.groups) {
		g := *s.groups[key]
		g.Moved = math.Round(g.Moved*100) / 100
		r.Groups = append(r.Groups, g)
	}
	for _, key := range sortedKeys(s.doubts) {
		r.Unknowns = append(r.Unknowns, *s.doubts[key])
	}
	slices.SortStableFunc(r.Groups, func(a, b Group) int { return cmp.Compare(b.Calls, a.Calls) })
	slices.SortStableFunc(r.Unknowns, func(a, b Doubt) int { return cmp.Compare(b.Calls, a.Calls) })
	return r
}
