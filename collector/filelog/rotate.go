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

// tend does what does not depend on reading: it measures the lag, rotates, and
// removes what is stored.
func (f *follower) tend(ctx context.Context) error {
	files, err := list(f.source.Path)
	if err != nil {
		return err
	}
	f.done = slices.DeleteFunc(f.done, func(e ended) bool {
		return !slices.ContainsFunc(files, func(file logFile) bool { return file.inode == e.end.Inode })
	})
	f.metrics.lag.WithLabelValues(f.source.Gateway).Set(float64(f.lag(files)))
	if f.source.Reopen == nil || f.config.RotateBytes == 0 {
		return nil
	}
	f.markStored()
	return errors.Join(f.wrap("rotate", f.rotate(ctx, files)), f.wrap("remove rotated", f.remove(files)))
}

// rotate renames the live file when it is large, and makes the gateway begin a
// new one: until that is there, again and again, as after a restart in between.
func (f *follower) rotate(ctx context.Context, files []logFile) error {
	if len(files) == 0 {
		return nil // the gateway has not started yet
	}
	if last := files[len(files)-1]; last.live {
		if last.size < f.config.RotateBytes {
			f.reopened = time.Time{}
			return nil
		}
		if err := os.Rename(last.path, rotatedName(f.source.Path, files)); err != nil {
			return err
		}
	} else if time.Since(f.reopened) < reopenEvery {
		return nil
	}
	f.reopened = time.Now()
	ctx, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	return f.source.Reopen(ctx)
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

// remove removes the files that were rotated here and are stored. One that grew
// after it was left is kept for a human to look at.
func (f *follower) remove(files []logFile) error {
	var errs []error
	for _, file := range files {
		if file.sequence == 0 {
			continue
		}
		e := f.doneWith(file)
		if e == nil || !e.stored || file.size != e.end.Offset {
			continue
		}
		if err := os.Remove(file.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
