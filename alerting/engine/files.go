package engine

import (
	"context"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/internal/durable"
)

// On disk are, in the engine's folder: silences, nflog (what was told) and alerts,
// each a snapshot that is written now and then, and the changes since then.

// keepFiles writes the snapshots again and again until the function it returns is
// called; that writes them a last time.
func (e *Engine) keepFiles() (stop func()) {
	var running sync.WaitGroup
	end := make(chan struct{})
	silences := func() (int64, error) { return e.snapshot(e.silenceChanges, e.silences) }
	told := func() (int64, error) { return e.snapshot(e.sentChanges, e.sent) }
	running.Go(func() { e.silences.Maintenance(e.cfg.MaintenanceInterval, e.file("silences"), end, silences) })
	running.Go(func() { e.sent.Maintenance(e.cfg.MaintenanceInterval, e.file("nflog"), end, told) })
	running.Go(func() {
		t := time.NewTicker(e.cfg.MaintenanceInterval)
		defer t.Stop()
		for {
			select {
			case <-end:
				return
			case <-t.C:
				if err := e.save(); err != nil {
					e.log.Error("alerts cannot be written", "err", err)
				}
			}
		}
	})
	return func() { close(end); running.Wait() }
}

// state is what silences and the notification log have in common.
type state interface {
	GC() (int, error)
	Snapshot(w io.Writer) (int64, error)
}

// snapshot writes a state and forgets the changes that are in it: what was noted
// before rotate had been made before, too.
func (e *Engine) snapshot(d *deltas, s state) (size int64, err error) {
	if _, err := s.GC(); err != nil {
		return 0, err
	}
	forget, err := d.rotate()
	if err != nil {
		return 0, err
	}
	err = durable.ReplaceBy(e.file(d.name), 0o600, func(w io.Writer) (err error) {
		size, err = s.Snapshot(w)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", d.name, err)
	}
	return size, forget()
}

// note keeps a change of a state. It is called with the state locked, and cannot
// fail: what is not on disk is known until a kill.
func (e *Engine) note(d *deltas) func([]byte) {
	return func(b []byte) {
		if err := d.add(b); err != nil {
			e.log.Error("a change is not on disk, a kill would forget it", "err", err)
		}
	}
}

// save writes the alerts that fire or ended lately.
func (e *Engine) save() error {
	forget, err := e.keeper.changes.rotate()
	if err != nil {
		return err
	}
	err = durable.ReplaceBy(e.file(alertsFile), 0o600, func(w io.Writer) error { return writeAlerts(w, e.known) })
	if err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	return forget()
}

const alertsFile = "alerts.json"

// known are all alerts that a restart must know.
func (e *Engine) known(yield func(kept) bool) {
	ended := e.keeper.lately(time.Now())
	for _, a := range ended {
		if !yield(kept{a, true}) {
			return
		}
	}
	pending := e.alerts.GetPending()
	defer pending.Close()
	for a := range pending.Next() {
		if _, ok := ended[a.Data.Fingerprint()]; !ok && !yield(kept{a.Data.Alert, a.Data.Resolved()}) {
			return
		}
	}
}

// openFiles reads silences' and the notification log's changes, and begins to
// write them down.
func (e *Engine) openFiles() (err error) {
	if e.silenceChanges, err = openDeltas(e.cfg.Dir, "silences", true, e.silences.Merge); err != nil {
		return err
	}
	// That a message was told may be forgotten when the power fails, and the message
	// told again; the disk need not be waited for.
	if e.sentChanges, err = openDeltas(e.cfg.Dir, "nflog", false, e.sent.Merge); err != nil {
		return err
	}
	e.silences.SetBroadcast(e.note(e.silenceChanges))
	e.sent.SetBroadcast(e.note(e.sentChanges))
	return nil
}

// shareWith tells the others of a cluster what is written down, and takes what they
// tell.
func (e *Engine) shareWith(c *Cluster, reg prometheus.Registerer) {
	if c == nil {
		return
	}
	both := func(write, tell func([]byte)) func([]byte) {
		return func(b []byte) { write(b); tell(b) }
	}
	e.silences.SetBroadcast(both(e.note(e.silenceChanges), c.peer.AddState("sil", e.silences, reg).Broadcast))
	e.sent.SetBroadcast(both(e.note(e.sentChanges), c.peer.AddState("nfl", e.sent, reg).Broadcast))
}

func (e *Engine) closeFiles() {
	for _, d := range []*deltas{e.silenceChanges, e.sentChanges, e.keeper.changes} {
		d.close()
	}
}

// restore puts the alerts of the last run back. Without them, what ended while
// this process was away would never be told as resolved.
func (e *Engine) restore(ctx context.Context) error {
	all, known := map[model.Fingerprint]kept{}, texts{}
	take := func(a kept) { all[a.Fingerprint()] = a }
	damaged, err := readAlerts(e.file(alertsFile), take)
	if err != nil { // what can be read of it is of use, and so are the changes
		e.log.Error("alerts of the last run are damaged", "err", err)
	}
	changes, err := openDeltas(e.cfg.Dir, "alerts", false, func(b []byte) error {
		if a, err := decodeAlert(b, known); err == nil {
			take(a)
		} else {
			damaged++
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer func() { e.keeper.changes = changes }() // not before: what is put back is on disk
	if damaged > 0 {
		e.log.Warn("alerts of the last run are damaged, skipped", "alerts", damaged)
	}
	soonest := time.Now().Add(e.cfg.Renewal)
	back := make([]model.Alert, 0, len(all))
	for a := range maps.Values(all) {
		if !a.Ended && a.EndsAt.Before(soonest) {
			a.EndsAt = soonest
		}
		back = append(back, a.Alert)
	}
	return e.Put(ctx, back...)
}
