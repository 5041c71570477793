package filelog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// follower follows one source with two goroutines: run reads, keep tends the
// files, and goes on with that while the sink blocks run.
type follower struct {
	config  Config
	source  Source
	found   bool // by a glob: it ends when nothing is left of the log
	log     *slog.Logger
	metrics *metrics
	sink    Sink
	decoder *decoder // run's
	changes *changes

	mu      sync.Mutex // held by run but for its time in the sink, and by keep
	resume  Position   // where to begin; zero once that is done
	current *reader    // nil while there is no file to read
	done    []ended    // files that are read to their end and still there, in order
	leaving time.Time  // when current was seen to have a successor; zero while it has none
	retired bool       // nothing is left of a log that a glob found

	gone     time.Time // keep's: when it found no file first; zero while there is one
	reopened time.Time // keep's: when Reopen was called last
	over     bool      // keep's: the files use more than they may

	latest     atomic.Pointer[Position]  // told by Stored last
	lag, usage atomic.Int64              // bytes, as of keep's last look
	through    atomic.Pointer[time.Time] // when the files had nothing more
}

// ended is a file that was read to its end.
type ended struct {
	end    Position
	head   []byte
	stored bool // all of it is stored for good
}

// is tells whether p is a position in the file.
func (e ended) is(p Position) bool {
	return e.end.Inode == p.Inode && p.within(e.head, e.end.Offset)
}

func newFollower(c Config, s Source, resume Position, log *slog.Logger, m *metrics, sink Sink) *follower {
	m.begin(s.Gateway)
	lines, malformed, size := m.lines.WithLabelValues(s.Gateway), m.malformed.WithLabelValues(s.Gateway), m.bytes.WithLabelValues(s.Gateway)
	return &follower{
		config: c, source: s, resume: resume, log: log, metrics: m, sink: sink,
		decoder: &decoder{source: s, headers: c.Headers, log: log, lines: func(n, bad, bytes int) {
			lines.Add(float64(n))
			malformed.Add(float64(bad))
			size.Add(float64(bytes))
		}},
	}
}

// readThrough is when everything that the files had was handed over; zero: never.
func (f *follower) readThrough() time.Time {
	if at := f.through.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

func (f *follower) stored(p Position) { f.latest.Store(&p) }

// sinkError ends the Tailer; every other error is tried again.
type sinkError struct{ err error }

func (e sinkError) Error() string { return "hand over lines: " + e.err.Error() }
func (e sinkError) Unwrap() error { return e.err }

func (f *follower) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { f.keep(ctx) })
	defer keeping.Wait()
	defer cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.leave()
	rounds := failure{f: f, what: "follow"}
	for ctx.Err() == nil {
		more, err := f.round(ctx)
		var refused sinkError
		if errors.As(err, &refused) {
			return err
		}
		rounds.note(err)
		if more && err == nil {
			continue
		}
		if err == nil && f.retired {
			return errRetired
		}
		f.wait(ctx)
	}
	f.last(ctx)
	return nil
}

// wait waits until something has changed, or may have.
func (f *follower) wait(ctx context.Context) {
	f.mu.Unlock()
	defer f.mu.Lock()
	timer := time.NewTimer(f.config.PollInterval.Std())
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.changes.happened:
	case <-timer.C:
	}
}

// lastTimeout bounds what is read after the end was asked for.
const lastTimeout = 2 * time.Second

// last hands over the lines that stand in the current file at the end: a gateway
// that was stopped just before has written its last ones by then. What does not
// fit is read at the next start.
func (f *follower) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
	defer cancel()
	if f.current == nil {
		if opened, err := f.open(); err != nil || !opened {
			return
		}
	}
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = f.read(ctx); err != nil {
			return
		}
	}
}

// failure logs when something begins to fail and when it works again.
type failure struct {
	f       *follower
	what    string
	failing bool
}

func (l *failure) note(err error) {
	if err != nil {
		l.f.metrics.errors.WithLabelValues(l.f.source.Gateway).Inc()
	}
	switch {
	case err != nil && !l.failing:
		l.f.log.Warn("access log fails; trying again", "doing", l.what, "path", l.f.source.Path, "err", err)
	case err == nil && l.failing:
		l.f.log.Info("access log works again", "doing", l.what, "path", l.f.source.Path)
	}
	l.failing = err != nil
}

// round hands over what one read gives. more tells that there may be more at once.
func (f *follower) round(ctx context.Context) (more bool, err error) {
	begin := time.Now()
	if f.current == nil {
		if more, err = f.open(); err != nil || !more {
			if err == nil {
				f.through.Store(&begin)
			}
			return false, err
		}
	}
	more, err = f.read(ctx)
	if err == nil && !more {
		more, err = f.finish(ctx)
	}
	if err == nil && !more {
		f.through.Store(&begin)
	}
	return more, err
}

// read hands over the next lines of the current file.
func (f *follower) read(ctx context.Context) (more bool, err error) {
	lines, long, err := f.current.next()
	switch {
	case errors.Is(err, errTruncated):
		f.truncated("reading it from its start")
		return true, nil
	case errors.Is(err, errCut):
		f.truncated("what is left of it was read before, going on at its end")
		return true, nil
	}
	if err != nil {
		return false, err
	}
	switch {
	case long:
		err = f.hand(ctx, Batch{Position: f.current.position(0), Records: f.decoder.one(nil, errLong)})
	case len(lines) > 0:
		err = f.hand(ctx, Batch{Position: f.current.position(len(lines)), Records: f.decoder.records(lines)})
		if err == nil {
			f.current.consume(len(lines))
		}
	default:
		return false, nil
	}
	return true, err
}

func (f *follower) truncated(then string) {
	f.metrics.truncations.WithLabelValues(f.source.Gateway).Inc()
	f.log.Warn("access log shrank or was overwritten", "then", then, "path", f.source.Path)
}

// hand blocks while the sink does; the files are tended meanwhile.
func (f *follower) hand(ctx context.Context, b Batch) error {
	b.Source = f.source.Path
	f.mu.Unlock()
	defer f.mu.Lock()
	if err := f.sink(ctx, b); err != nil {
		return sinkError{err}
	}
	return nil
}

// open opens the next file to read, if there is one.
func (f *follower) open() (opened bool, err error) {
	files, err := list(f.source.Path)
	if err != nil {
		return false, err
	}
	offset, err := f.begin(files)
	if err != nil {
		return false, err
	}
	next, ok := f.next(files)
	if !ok {
		return false, nil
	}
	if f.current, err = openReader(next, offset, f.config); err != nil {
		f.current = nil
		return false, err
	}
	f.resume, f.retired = Position{}, false
	return true, nil
}

// begin finds the file that the resume position is in, takes those before it as
// done, and gives where in that file to go on. An error means that it cannot be told
// now; to guess would be to read twice.
func (f *follower) begin(files []logFile) (offset int64, err error) {
	if f.resume == (Position{}) || len(files) == 0 {
		return 0, nil
	}
	f.done = nil
	at, offset, err := f.find(files, f.resume)
	if err != nil {
		return 0, err
	}
	if at < 0 {
		f.metrics.lost.WithLabelValues(f.source.Gateway).Inc()
		f.log.Error("stored position is in no access log that is left; reading all that is there",
			"path", f.source.Path, "inode", f.resume.Inode, "offset", f.resume.Offset)
		f.resume = Position{}
		return 0, nil
	}
	for _, file := range files[:at] {
		head, err := headOf(file)
		if err != nil {
			return 0, err
		}
		f.done = append(f.done, ended{end: Position{file.inode, fingerprint(head, file.size), file.size}, head: head, stored: true})
	}
	if offset < f.resume.Offset {
		f.truncated("what is left of it was stored before, going on at its end")
	}
	return offset, nil
}

// find gives which file p is in, or -1, and where to go on in it: one with p's inode
// first, also when its end was cut off, else a copy.
func (f *follower) find(files []logFile, p Position) (at int, offset int64, err error) {
	heads := make([][]byte, len(files))
	for i, file := range files {
		head, err := headOf(file)
		if err != nil && (errors.Is(err, errMoved) || file.inode == p.Inode) {
			return 0, 0, err
		}
		heads[i] = head // nil: it cannot be read, and so cannot be a copy
	}
	for i, file := range files {
		switch {
		case file.inode != p.Inode:
		case p.within(heads[i], file.size):
			return i, p.Offset, nil
		case p.cut(heads[i], file.size):
			return i, file.size, nil
		}
	}
	for i, file := range files {
		if p.Offset > 0 && p.within(heads[i], file.size) {
			return i, p.Offset, nil
		}
	}
	return -1, 0, nil
}

// next gives the first file that is neither done nor being read.
func (f *follower) next(files []logFile) (logFile, bool) {
	for _, file := range files {
		if f.current != nil && file.inode == f.current.inode {
			continue
		}
		if e, err := f.doneWith(file); e != nil || errors.Is(err, errMoved) {
			continue // of one that was moved the next listing tells
		}
		return file, true
	}
	return logFile{}, false
}

// doneWith gives the entry of a file that was read to its end, or nil. The
// inode alone does not tell: a removed file's may be in use again. Nor does the
// end of an empty file: what stands in it now was not read.
func (f *follower) doneWith(file logFile) (*ended, error) {
	i := slices.IndexFunc(f.done, func(e ended) bool { return e.end.Inode == file.inode })
	if i < 0 {
		return nil, nil
	}
	head, err := headOf(file)
	if err != nil {
		return nil, err
	}
	end := f.done[i].end
	if !end.within(head, file.size) || end.Offset == 0 && file.size > 0 {
		return nil, nil
	}
	return &f.done[i], nil
}

// finish leaves the current file when it has a successor and no more is coming.
func (f *follower) finish(ctx context.Context) (left bool, err error) {
	files, err := list(f.source.Path)
	if err != nil {
		return false, err
	}
	if _, ok := f.next(files); !ok {
		f.leaving = time.Time{}
		return false, nil
	}
	if f.leaving.IsZero() {
		f.leaving = time.Now()
	}
	if time.Since(f.leaving) < f.config.Grace.Std() || f.current.size() > f.current.read {
		return f.current.size() > f.current.read, nil
	}
	if line, long := f.current.rest(); long || len(line) > 0 {
		b := Batch{Position: f.current.end(), Records: f.decoder.one(line, errTorn)}
		if err := f.hand(ctx, b); err != nil {
			return false, err
		}
	}
	// An entry with this inode is of a file that is gone.
	f.done = slices.DeleteFunc(f.done, func(e ended) bool { return e.end.Inode == f.current.inode })
	f.done = append(f.done, ended{end: f.current.end(), head: slices.Clone(f.current.head)})
	f.leave()
	return true, nil
}

// leave closes the current file.
func (f *follower) leave() {
	if f.current != nil {
		f.current.close()
	}
	f.current, f.leaving = nil, time.Time{}
}

func headOf(file logFile) ([]byte, error) {
	r, err := openReader(file, 1, Config{})
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.head, nil
}

// wrap names the source in an error.
func (f *follower) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, f.source.Path, err)
}
