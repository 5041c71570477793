package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/common/model"
)

// endedFor is how long an alert that ended is kept: until its group, which waits
// for group_interval, has told that it did.
const endedFor = 15 * time.Minute

// kept is an alert on disk. Ended tells one that ended from one whose time ran out
// while nobody was there to hear that it fires on.
type kept struct {
	model.Alert
	Ended bool `json:"ended,omitempty"`
}

// keeper is told of every alert that is stored, and keeps on disk what a restart
// needs: which ones fire, and which ended lately.
type keeper struct {
	*silence.Silencer // forgets alerts that are gone
	log               *slog.Logger
	changes           *deltas

	mu      sync.Mutex // guards all below
	ended   map[model.Fingerprint]model.Alert
	failing bool
}

func newKeeper(s *silence.Silencer, log *slog.Logger) *keeper {
	return &keeper{Silencer: s, log: log, ended: map[model.Fingerprint]model.Alert{}}
}

// PostStore notes an alert that is new, ended, or fires again; that one fires on
// is not written down each time.
func (k *keeper) PostStore(a *alert.Alert, existing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fp := a.Fingerprint()
	_, ended := k.ended[fp]
	if a.Resolved() {
		k.ended[fp] = a.Alert
	} else {
		delete(k.ended, fp)
	}
	if existing && !ended && !a.Resolved() {
		return
	}
	text, err := json.Marshal(kept{a.Alert, a.Resolved()})
	if err == nil {
		err = k.changes.add(text)
	}
	if (err != nil) != k.failing {
		k.failing = err != nil
		if err != nil {
			k.log.Error("alerts cannot be written down, a kill would forget them", "err", err)
		}
	}
}

// PostDelete keeps what the store lets go: nobody may have been told its end yet.
func (k *keeper) PostDelete(a *alert.Alert) {
	k.Silencer.PostDelete(a)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended[a.Fingerprint()] = a.Alert
}

// lately are the alerts that ended not long before now.
func (k *keeper) lately(now time.Time) map[model.Fingerprint]model.Alert {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.ended, func(_ model.Fingerprint, a model.Alert) bool { return now.Sub(a.EndsAt) > endedFor })
	return maps.Clone(k.ended)
}

// writeAlerts writes alerts, one a line.
func writeAlerts(w io.Writer, alerts iter.Seq[kept]) error {
	out := json.NewEncoder(w)
	for a := range alerts {
		if err := out.Encode(a); err != nil {
			return fmt.Errorf("encode alert: %w", err)
		}
	}
	return nil
}

// readAlerts reads what writeAlerts wrote, or, of older versions, one list. A line
// that is not an alert is skipped and counted.
func readAlerts(path string, yield func(kept)) (damaged int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read alerts: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 256<<10)
	if first, err := in.Peek(1); err == nil && first[0] == '[' {
		return 0, readList(in, yield)
	}
	return readLines(in, yield)
}

// chunk is how much is read at once and decoded beside others. It holds whole
// lines.
const chunk = 1 << 20

// readLines decodes on all processors: of a start with many alerts this is most.
func readLines(in *bufio.Reader, yield func(kept)) (damaged int, err error) {
	type part struct {
		alerts  []kept
		damaged int
	}
	var parts []chan part
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for err == nil {
		text := make([]byte, chunk)
		var n int
		if n, err = io.ReadFull(in, text); err == nil {
			var rest []byte
			rest, err = in.ReadBytes('\n')
			text = append(text, rest...)
		} else {
			text = text[:n]
		}
		done := make(chan part, 1)
		parts = append(parts, done)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			var p part
			p.alerts, p.damaged = decodeLines(text)
			done <- p
		}()
	}
	for _, c := range parts {
		p := <-c
		damaged += p.damaged
		for _, a := range p.alerts {
			yield(a)
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged, fmt.Errorf("read alerts: %w", err)
	}
	return damaged, nil
}

func decodeLines(text []byte) (alerts []kept, damaged int) {
	known := texts{}
	for line := range bytes.Lines(text) {
		if a, err := decodeAlert(line, known); err == nil {
			alerts = append(alerts, a)
		} else {
			damaged++
		}
	}
	return alerts, damaged
}

func readList(r io.Reader, yield func(kept)) error {
	var all []kept
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return fmt.Errorf("decode alerts: %w", err)
	}
	for _, a := range all {
		yield(a)
	}
	return nil
}

func decodeAlert(line []byte, known texts) (kept, error) {
	// The types of model check and copy once more; what is on disk was checked.
	var d struct {
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
		GeneratorURL        string
		Ended               bool
	}
	if err := json.Unmarshal(line, &d); err != nil {
		return kept{}, fmt.Errorf("decode alert: %w", err)
	}
	if len(d.Labels) == 0 {
		return kept{}, errors.New("alert without labels")
	}
	return kept{model.Alert{
		Labels: known.set(d.Labels), Annotations: known.set(d.Annotations),
		StartsAt: d.StartsAt, EndsAt: d.EndsAt, GeneratorURL: known.one(d.GeneratorURL),
	}, d.Ended}, nil
}

// texts holds each text once: thousands of alerts have the same names and values.
type texts map[string]string

func (t texts) one(s string) string {
	if k, ok := t[s]; ok {
		return k
	}
	t[s] = s
	return s
}

func (t texts) set(m map[string]string) model.LabelSet {
	n := make(model.LabelSet, len(m))
	for k, v := range m {
		n[model.LabelName(t.one(k))] = model.LabelValue(t.one(v))
	}
	return n
}
