package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Errors that say what is wrong with a command.
var (
	ErrUnknown  = errors.New("there is no such function or revision") // of the resources in force
	ErrConflict = errors.New("not now")                               // what stands makes it impossible
)

// Ledger is the durable record of releases. Its methods may be called from any
// goroutine. A method that returns an error has changed nothing.
type Ledger struct {
	log     *slog.Logger
	now     func() time.Time
	changed chan struct{} // size 1: weights are other ones

	mu        sync.Mutex
	journal   *journal
	functions map[string]*record
	set       map[string]*api.Function // in force, by name
	releases  []string                 // of them, those with an automatic release
}

// record is what is known of a function, whether it is in force or not.
type record struct {
	published map[string]publication // by revision
	override  *Override
	before    []Weights // in force earlier, the latest last
	current   Weights   // in force
	bad       map[string]bool
	progress  *Progress
	events    []Event
	rises     []Rise // the latest last
}

// publication is a revision's content as it was first in force.
type publication struct {
	Content json.RawMessage `json:"content"`
	Where   string          `json:"where"` // file:line
	Time    time.Time       `json:"time"`
}

// Override are weights that go before those of the file.
type Override struct {
	Weights Weights   `json:"weights"`
	By      string    `json:"by"` // "command", or "release"
	Time    time.Time `json:"time"`
}

// Event is something that happened to a function's releases.
type Event struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// event is a line of the journal: what a record is made of again. Kinds: published,
// weights, override, progress, bad.
type event struct {
	Time        time.Time    `json:"time"`
	Kind        string       `json:"kind"`
	Function    string       `json:"function"`
	Revision    string       `json:"revision,omitempty"`
	Publication *publication `json:"publication,omitempty"`
	Weights     Weights      `json:"weights,omitempty"`
	By          string       `json:"by,omitempty"`
	Progress    *Progress    `json:"progress,omitempty"`
	Text        string       `json:"text,omitempty"` // for people
}

const (
	kindPublished = "published"
	kindWeights   = "weights"  // that are in force
	kindOverride  = "override" // none: reset
	kindProgress  = "progress"
	kindBad       = "bad" // the revision was rolled back from; without one: none is bad
)

// What is remembered of each function.
const (
	keptEvents  = 20
	keptWeights = 20
)

// manyEvents at once, as at the first start, are logged as one line.
const manyEvents = 20

// Open reads the journal in a folder, which is made where needed. One process at a
// time may have it open.
func Open(dir string, log *slog.Logger) (*Ledger, error) {
	j, events, err := openJournal(filepath.Join(dir, "journal"), log)
	if err != nil {
		return nil, err
	}
	l := &Ledger{log: log, now: time.Now, changed: make(chan struct{}, 1), journal: j, functions: map[string]*record{}, set: map[string]*api.Function{}}
	for _, e := range events {
		l.record(e.Function).apply(e)
	}
	if live := l.snapshot(); len(events) > 4*len(live)+1000 {
		if err := j.replace(live); err != nil {
			return nil, errors.Join(fmt.Errorf("releases: shorten the journal: %w", err), j.file.Close())
		}
	}
	return l, nil
}

// Close gives the journal back.
func (l *Ledger) Close() error { return l.journal.file.Close() }

// Changed has a value when Effective gives something else for the same set.
func (l *Ledger) Changed() <-chan struct{} { return l.changed }

func (l *Ledger) signal() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *Ledger) record(function string) *record {
	r := l.functions[function]
	if r == nil {
		r = &record{published: map[string]publication{}, bad: map[string]bool{}}
		l.functions[function] = r
	}
	return r
}

// put makes events durable, and then part of the record.
func (l *Ledger) put(events ...event) error {
	now := l.now().UTC()
	for i := range events {
		events[i].Time = now
	}
	if err := l.journal.append(events...); err != nil {
		return err
	}
	for _, e := range events {
		l.record(e.Function).apply(e)
		if e.Text != "" && len(events) <= manyEvents {
			l.log.Info("release", "function", e.Function, "what", e.Text)
		}
	}
	if len(events) > manyEvents {
		l.log.Info("releases noted", "events", len(events))
	}
	return nil
}

func (r *record) apply(e event) {
	switch e.Kind {
	case kindPublished:
		r.published[e.Revision] = *e.Publication
	case kindRise:
		r.rises = append(r.rises, Rise{e.Revision, e.Weights.Of(e.Revision), e.Time})
	case kindWeights:
		r.rise(e)
		if len(r.current) > 0 {
			r.before = last(append(r.before, r.current), keptWeights)
		}
		r.current = e.Weights
	case kindOverride:
		if r.override = nil; len(e.Weights) > 0 {
			r.override = &Override{e.Weights, e.By, e.Time}
		}
	case kindProgress:
		r.progress = e.Progress
	case kindBad:
		if e.Revision == "" {
			clear(r.bad)
		} else {
			r.bad[e.Revision] = true
		}
	}
	if e.Text != "" {
		r.events = last(append(r.events, Event{e.Time, e.Text}), keptEvents)
	}
}

func last[T any](all []T, n int) []T { return slices.Clone(all[max(0, len(all)-n):]) }

// snapshot is the shortest list of events that makes the same record.
func (l *Ledger) snapshot() (live []event) {
	for _, name := range slices.Sorted(maps.Keys(l.functions)) {
		r := l.functions[name]
		for _, rev := range slices.Sorted(maps.Keys(r.published)) {
			p := r.published[rev]
			live = append(live, event{Time: p.Time, Kind: kindPublished, Function: name, Revision: rev, Publication: &p})
		}
		for _, w := range append(slices.Clone(r.before), r.current) {
			if len(w) > 0 {
				live = append(live, event{Kind: kindWeights, Function: name, Weights: w})
			}
		}
		if o := r.override; o != nil {
			live = append(live, event{Time: o.Time, Kind: kindOverride, Function: name, Weights: o.Weights, By: o.By})
		}
		for _, rev := range slices.Sorted(maps.Keys(r.bad)) {
			live = append(live, event{Kind: kindBad, Function: name, Revision: rev})
		}
		if r.progress != nil {
			live = append(live, event{Kind: kindProgress, Function: name, Progress: r.progress})
		}
		for _, rise := range r.rises {
			live = append(live, event{Time: rise.Time, Kind: kindRise, Function: name, Revision: rise.Revision, Weights: Weights{{rise.Revision, rise.Percent}}})
		}
		for _, e := range r.events {
			live = append(live, event{Time: e.Time, Kind: "text", Function: name, Text: e.Text})
		}
	}
	return live
}
