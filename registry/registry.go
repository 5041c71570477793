package registry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
)

// Snapshot is everything that is in force at one moment. Nobody changes it.
type Snapshot struct {
	Version  uint64 // from 1, one more with every change
	Set      api.Set
	Problems api.Problems // what keeps files from being applied, sorted by place
}

// Registry holds the resources of a folder. Current and Watch may be called from
// any goroutine, before, during and after Run.
type Registry struct {
	cfg     Config
	log     *slog.Logger
	metrics metrics

	state   *state            // owned by New, then by Run
	logged  map[string]string // problems by file as they were logged last
	trouble string            // what is wrong with the folder as a whole; empty: nothing
	kept    *kept             // what was in force when a registry ran last

	mu       sync.Mutex
	current  Snapshot
	watchers map[chan Snapshot]struct{}
}

// New reads the folder once. Problems in files are no error: they are in the
// snapshot. It starts nothing.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(cfg.Dir); err != nil {
		return nil, fmt.Errorf("resources folder: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("resources folder: %s is a file, want a folder", cfg.Dir)
	}
	r := &Registry{
		cfg: cfg, log: log, metrics: newMetrics(), state: newState(),
		logged: map[string]string{}, watchers: map[chan Snapshot]struct{}{},
	}
	r.state.check = cfg.Check
	if err := r.metrics.register(reg); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	var err error
	if r.kept, err = openKept(cfg.Kept, cfg.Dir); err != nil {
		log.Warn("what was in force before is not known, bad files have no resources", "error", err)
	}
	if _, err := r.rescan(); err != nil {
		return nil, err
	}
	return r, nil
}

// Current is what is in force now.
func (r *Registry) Current() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// Watch delivers the current snapshot and then each newer one. A reader that is
// slow misses those in between, never the last. The channel is closed when ctx ends.
func (r *Registry) Watch(ctx context.Context) <-chan Snapshot {
	ch := make(chan Snapshot, 1) // one: the latest; publish replaces it
	r.mu.Lock()
	defer r.mu.Unlock()
	ch <- r.current
	r.watchers[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, ch)
		close(ch)
	})
	return ch
}

// rescan reads the tree, decides and publishes. It returns the folders to watch.
func (r *Registry) rescan() (dirs []string, err error) {
	t, err := readTree(r.cfg.Dir, r.state.seen)
	if err != nil {
		return nil, err
	}
	if r.state.round == 0 {
		r.state.inForce = r.kept.before(t.files)
	}
	if r.state.update(t.files) || r.trouble != "" {
		r.trouble = ""
		r.metrics.reloads.Inc()
		r.publish(r.state.set, r.state.problems)
	}
	return t.dirs, nil
}

// remember keeps what is in force for the next start. Without it the resources of
// files that are bad by then would be missing.
func (r *Registry) remember() {
	err := r.kept.save(r.state.inForce)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != r.kept.said && text != "" {
		r.log.Warn("what is in force is not on disk, bad files will have no resources after a restart", "error", err)
	}
	r.kept.said = text
}

// lost says once that the folder as a whole cannot be read; what was in force stays.
func (r *Registry) lost(err error) {
	if r.trouble == err.Error() {
		return
	}
	r.trouble = err.Error()
	problem := api.Problem{Source: api.Source{File: r.cfg.Dir}, Message: r.trouble}
	r.publish(r.state.set, append(slices.Clone(r.state.problems), problem))
}

func (r *Registry) publish(set api.Set, problems api.Problems) {
	r.metrics.problems.Set(float64(len(problems)))
	r.metrics.resources.Set(float64(set.Len()))
	snapshot := r.replace(set, problems)
	r.logProblems(problems)
	r.log.Info("resources in force", "version", snapshot.Version, "resources", set.Len(), "problems", len(problems))
}

// replace makes a snapshot the current one and hands it to all watchers. Only it
// sends to them, under the lock, so that after taking a stale snapshot out there
// is always room.
func (r *Registry) replace(set api.Set, problems api.Problems) Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = Snapshot{Version: r.current.Version + 1, Set: set, Problems: slices.Clone(problems)}
	for ch := range r.watchers {
		select {
		case <-ch:
		default:
		}
		ch <- r.current
	}
	return r.current
}

// logProblems writes one line for each file whose problems are new or different,
// and one when they are gone.
func (r *Registry) logProblems(problems api.Problems) {
	byFile := map[string]api.Problems{}
	for _, p := range problems {
		byFile[p.File] = append(byFile[p.File], p)
	}
	for file, ps := range byFile {
		if text := ps.Error(); r.logged[file] != text {
			r.logged[file] = text
			r.log.Warn("resource file has problems, what was in force stays", "file", file, "problems", len(ps), "first", ps[0].String())
		}
	}
	for file := range r.logged {
		if byFile[file] == nil {
			delete(r.logged, file)
			r.log.Info("resource file has no problems any more", "file", file)
		}
	}
}
