package apply

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/search"
)

// Found is a search for the safe rate of a pod, and what it was a search of.
type Found struct {
	Function string    `json:"function"`
	Revision string    `json:"revision,omitempty" doc:"whose pod it was; empty: not known"`
	Image    string    `json:"image,omitempty" doc:"of that revision"`
	Pod      string    `json:"pod,omitempty"`
	Run      string    `json:"run" doc:"id that marks its calls"`
	Started  time.Time `json:"started"`
	search.Result
}

// Limit is what the result allows: its lower bound.
func (f Found) Limit() Limit {
	return Limit{PerPodQPS: f.Safe, Measured: api.Measured{
		Date: f.Started.UTC().Format(time.DateOnly), Low: f.Safe, High: f.High, Run: f.Run, Revision: f.Revision,
	}}
}

// Facts are what a result is held against.
type Facts struct {
	Now     time.Time
	MaxAge  time.Duration // 0: any age
	Serving []Serving     // revisions that get calls
	Images  map[string]string
	Offered float64 // calls a second that each ready pod is offered now; NaN: not known
	// Headroom is the share of the limit that is let in, in (0,1]; 0: 1.
	Headroom float64
}

// Serving is a revision that gets calls.
type Serving struct {
	Revision string `json:"revision"`
	Percent  int    `json:"percent"`
}

// Reason is why a result should not become the limit, and what mends it.
type Reason struct {
	Check string `json:"check" doc:"valid, fresh, revision or offered"`
	Why   string `json:"why"`
	Mend  string `json:"mend"`
}

// Judge says what speaks against making a result the limit; nothing when it may be.
func Judge(f Found, x Facts) []Reason {
	again := "kongdao capacity find " + f.Function
	var all []Reason
	refuse := func(check, mend, format string, args ...any) {
		all = append(all, Reason{check, fmt.Sprintf(format, args...), mend})
	}
	if f.Proven <= 0 {
		refuse("valid", again+" --budget 5m", "no rate was proven: %.1f/s is a cautious guess", f.Safe)
	}
	switch age := x.Now.Sub(f.Started); {
	case f.Started.IsZero():
		refuse("fresh", again, "it does not say when it was measured")
	case age < -24*time.Hour: // a day's grace for clocks and time zones
		refuse("fresh", again, "it is of %s, in the future", f.Started.Format(time.DateOnly))
	case x.MaxAge > 0 && age > x.MaxAge:
		refuse("fresh", again, "it is %d days old, more than %d", int(age.Hours()/24), int(x.MaxAge.Hours()/24))
	}
	if f.Revision == "" {
		refuse("revision", again, "it does not say which revision was measured")
	} else if !x.serves(f.Revision) {
		refuse("revision", again, "%s was measured, %s", f.Revision, x.text())
	}
	headroom := x.Headroom
	if headroom == 0 {
		headroom = 1
	}
	if admitted := f.Safe * headroom; !math.IsNaN(x.Offered) && x.Offered > admitted {
		refuse("offered", fmt.Sprintf("more pods first, %.2g times as many: kongdao capacity plan", math.Ceil(10*x.Offered/admitted)/10),
			"pods are offered %.1f/s each now, and would be given %.1f/s: the rest would be refused", x.Offered, admitted)
	}
	return all
}

// serves tells whether a revision, or one of the same image, gets calls.
func (x Facts) serves(revision string) bool {
	return slices.ContainsFunc(x.Serving, func(s Serving) bool {
		return s.Revision == revision || x.Images[revision] != "" && x.Images[s.Revision] == x.Images[revision]
	})
}

func (x Facts) text() string {
	if len(x.Serving) == 0 {
		return "and no revision serves"
	}
	var parts []string
	for _, s := range x.Serving {
		parts = append(parts, fmt.Sprintf("%s %d%%", s.Revision, s.Percent))
	}
	return "and those that serve are " + strings.Join(parts, ", ")
}
