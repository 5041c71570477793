package registry

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Run follows the folder until ctx ends, and then returns nil. It is called once.
func (r *Registry) Run(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch resources: %w", err)
	}
	defer notify.Close()
	f := follower{Registry: r, notify: notify, watched: map[string]fs.FileInfo{}}
	f.look()
	f.loop(ctx)
	return nil
}

// follower is what Run needs besides the registry. Its goroutine owns it.
type follower struct {
	*Registry
	notify  *fsnotify.Watcher
	watched map[string]fs.FileInfo // folders as they were when the watch began
	blind   string                 // why a folder is not watched, as logged last
}

func (f *follower) loop(ctx context.Context) {
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	slow := time.NewTicker(f.cfg.Rescan.Std())
	defer slow.Stop()
	var since time.Time // the first event that was not looked at; zero: none
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.notify.Events:
			if since.IsZero() {
				since = time.Now()
			}
			patience := 10*f.cfg.Debounce.Std() - time.Since(since)
			quiet.Reset(max(0, min(f.cfg.Debounce.Std(), patience)))
		case <-f.notify.Errors: //nolint:errcheck // events were lost; looking makes up for them
			quiet.Reset(0)
		case <-quiet.C:
			since = time.Time{}
			f.look()
		case <-slow.C:
			if since.IsZero() { // else somebody is writing just now
				f.look()
			}
		}
	}
}

// look reads the tree and watches the folders that are in it now. What changed
// in a new folder before its watch began no event tells, hence the second reading.
func (f *follower) look() {
	const most = 10 // readings in a row; folders that come faster are left to the next event
	for range most {
		dirs, err := f.rescan()
		if err != nil {
			f.lost(err)
			return
		}
		added, blind := f.watch(dirs)
		f.note(blind)
		f.remember()
		if !added {
			return
		}
	}
}

// note logs folders that cannot be watched, when that begins, changes and ends.
func (f *follower) note(blind string) {
	switch {
	case blind == f.blind:
	case blind == "":
		f.log.Info("all resources are watched again")
	default:
		f.log.Warn("resources are not watched completely, changes show later", "rescan", f.cfg.Rescan.Std(), "error", blind)
	}
	f.blind = blind
}

// watch begins and ends watches, so that exactly these folders are watched. A
// folder that was replaced by another of the same name is watched anew. It says
// whether watches began and what went wrong; the slow look goes on all the same.
func (f *follower) watch(dirs []string) (added bool, blind string) {
	keep := make(map[string]bool, len(dirs))
	for _, dir := range dirs {
		keep[dir] = true
		info, err := os.Stat(dir)
		if err != nil {
			continue // gone since; the next look knows
		}
		if old := f.watched[dir]; old != nil && os.SameFile(old, info) {
			continue
		}
		_ = f.notify.Remove(dir) // of the folder that had the name before; it may be gone
		if err := f.notify.Add(dir); err != nil {
			blind = fmt.Sprintf("watch %s: %s", dir, err)
			continue
		}
		f.watched[dir] = info
		added = true
	}
	for dir := range f.watched {
		if !keep[dir] {
			_ = f.notify.Remove(dir)
			delete(f.watched, dir)
		}
	}
	return added, blind
}
