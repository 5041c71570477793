package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/prometheus/common/model"
)

// keepFiles writes the files again and again until the function it returns is
// called; that writes silences and notification log a last time.
func (e *Engine) keepFiles() (stop func()) {
	var running sync.WaitGroup
	end := make(chan struct{})
	running.Go(func() { e.silences.Maintenance(e.cfg.MaintenanceInterval, e.file("silences"), end, nil) })
	running.Go(func() { e.sent.Maintenance(e.cfg.MaintenanceInterval, e.file("nflog"), end, nil) })
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

// save writes the alerts that fire.
func (e *Engine) save() error {
	firing := []model.Alert{}
	pending := e.alerts.GetPending()
	defer pending.Close()
	for a := range pending.Next() {
		if !a.Data.Resolved() {
			firing = append(firing, a.Data.Alert)
		}
	}
	text, err := json.Marshal(firing)
	if err != nil {
		return fmt.Errorf("encode alerts: %w", err)
	}
	name := e.file("alerts.json")
	if err := errors.Join(os.WriteFile(name+".new", text, 0o640), os.Rename(name+".new", name)); err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	return nil
}

// restore puts the alerts of the last run back. Without them, what ended while
// this process was away would never be told as resolved.
func (e *Engine) restore(ctx context.Context) error {
	text, err := os.ReadFile(e.file("alerts.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read alerts: %w", err)
	}
	var firing []model.Alert
	if err := json.Unmarshal(text, &firing); err != nil {
		return fmt.Errorf("decode alerts: %w", err)
	}
	for i := range firing {
		firing[i].EndsAt = time.Now().Add(e.cfg.Renewal)
	}
	return e.Put(ctx, firing...)
}
