package filelog

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

const (
	reopenTimeout = 5 * time.Second // of one call
	reopenEvery   = 5 * time.Second // a gateway without traffic reopens with its next line only
)

// keep tends the files until ctx ends.
func (f *follower) keep(ctx context.Context) {
	tick := time.NewTicker(f.config.PollInterval.Std())
	defer tick.Stop()
	tending := failure{f: f, what: "tend"}
	for {
		tending.note(f.tend(ctx))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tend does what does not depend on reading: it measures, rotates, removes what is
// stored and keeps to the budget.
func (f *follower) tend(ctx context.Context) error {
	f.changes.ensure()
	reopen, err := f.tendFiles()
	if !reopen {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	return errors.Join(err, f.wrap("reopen", f.source.Reopen(ctx)))
}

// tendFiles tells whether the gateway has to reopen its file: that is done without
// holding up the reader.
func (f *follower) tendFiles() (reopen bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	files, err := list(f.source.Path)
	if err != nil {
		return false, err
	}
	switch {
	case len(files) > 0:
		f.gone = time.Time{}
	case f.gone.IsZero():
		f.gone = time.Now()
	case f.found && time.Since(f.gone) > f.config.retireAfter:
		f.retired = true
	}
	f.done = slices.DeleteFunc(f.done, func(e ended) bool {
		return !slices.ContainsFunc(files, func(file logFile) bool { return file.inode == e.end.Inode })
	})
	if !f.ours() {
		f.measure(files)
		f.budget(files)
		return false, nil
	}
	f.markStored()
	reopen, errRotate := f.rotate(files)
	files, errRemove := f.remove(files)
	f.measure(files)
	errDrop := f.drop(files, f.budget(files))
	return reopen, errors.Join(f.wrap("rotate", errRotate), f.wrap("remove rotated", errRemove), f.wrap("drop", errDrop))
}

// ours tells whether rotating, and removing what is rotated, is this package's.
func (f *follower) ours() bool { return f.source.Reopen != nil && f.config.RotateBytes > 0 }

// rotate renames the live file when it is large. The gateway has to begin a new one
// then: until that is there, again and again, as after a restart in between.
func (f *follower) rotate(files []logFile) (reopen bool, err error) {
	if len(files) == 0 {
		return false, nil // the gateway has not started yet
	}
	last := files[len(files)-1]
	switch {
	case last.live && last.size < f.config.RotateBytes:
		f.reopened = time.Time{}
		return false, nil
	case last.live:
		if err := os.Rename(last.path, rotatedName(f.source.Path, files)); err != nil {
			return false, err
		}
	case time.Since(f.reopened) < reopenEvery:
		return false, nil
	}
	f.reopened = time.Now()
	return true, nil
}

// markStored marks the files that the position told last is behind. It looks at
// the same position again and again: its file may have been left since.
func (f *follower) markStored() {
	p := f.latest.Load()
	if p == nil {
		return
	}
	if f.current != nil && f.current.inode == p.Inode && p.within(f.current.head, f.current.read) {
		f.markFirst(len(f.done))
		return
	}
	at := slices.IndexFunc(f.done, func(e ended) bool { return e.is(*p) })
	if at < 0 {
		return // of a file that is gone
	}
	if p.Offset >= f.done[at].end.Offset {
		at++
	}
	f.markFirst(at)
}

func (f *follower) markFirst(n int) {
	for i := range f.done[:n] {
		f.done[i].stored = true
	}
}

// remove removes the files that were rotated here and are stored, and gives those
// that are left. One that grew after it was left is kept for a human to look at.
func (f *follower) remove(files []logFile) (left []logFile, err error) {
	for _, file := range files {
		e, _ := f.doneWith(file) // what cannot be told stays
		if file.sequence == 0 || e == nil || !e.stored || file.size != e.end.Offset {
			left = append(left, file)
			continue
		}
		if errRemove := os.Remove(file.path); errRemove != nil && !errors.Is(errRemove, os.ErrNotExist) {
			left, err = append(left, file), errors.Join(err, errRemove)
		}
	}
	return left, err
}
