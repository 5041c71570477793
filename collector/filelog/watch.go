package filelog

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// watcher tells followers that something happened to their files, in case the
// kernel says so; the rest is found by polling. One serves all sources, because
// the kernel grants few of them to a user.
type watcher struct {
	log    *slog.Logger
	kernel *fsnotify.Watcher // nil: there is only polling
	ended  chan struct{}

	mu      sync.Mutex
	folders map[string]*folder
}

// folder is what is watched: a file that is renamed or not there yet cannot be.
type folder struct {
	watched   bool
	told      bool // that it cannot be watched was logged
	listeners []*changes
}

// changes are those of one log.
type changes struct {
	happened chan struct{} // 1: one pending wake-up stands for all
	prefix   string        // of the names of its files
	dir      string
	watcher  *watcher
}

func newWatcher(log *slog.Logger) *watcher {
	w := &watcher{log: log, ended: make(chan struct{}), folders: map[string]*folder{}}
	kernel, err := fsnotify.NewWatcher()
	if err != nil {
		log.Info("access logs cannot be watched; polling them", "err", err)
		close(w.ended)
		return w
	}
	w.kernel = kernel
	go w.forward()
	return w
}

// listen is for the files of the log at path, until close.
func (w *watcher) listen(path string) *changes {
	c := &changes{happened: make(chan struct{}, 1), prefix: filepath.Base(path), dir: filepath.Dir(path), watcher: w}
	w.mu.Lock()
	f := w.folders[c.dir]
	if f == nil {
		f = &folder{}
		w.folders[c.dir] = f
	}
	f.listeners = append(f.listeners, c)
	w.mu.Unlock()
	c.ensure()
	return c
}

// ensure watches a folder that could not be watched before, as it was not there.
func (c *changes) ensure() {
	w := c.watcher
	if w.kernel == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.folders[c.dir]
	if f == nil || f.watched {
		return
	}
	err := w.kernel.Add(c.dir)
	f.watched = err == nil
	if err != nil && !f.told {
		f.told = true
		w.log.Info("folder of access logs cannot be watched yet; polling it", "folder", c.dir, "err", err)
	}
}

func (w *watcher) forward() {
	defer close(w.ended)
	for {
		select {
		case e, ok := <-w.kernel.Events:
			if !ok {
				return
			}
			w.tell(e)
		case _, ok := <-w.kernel.Errors:
			if !ok {
				return
			}
			w.tellAll() // the queue overflowed: whatever was lost is there to be read
		}
	}
}

func (w *watcher) tell(e fsnotify.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.folders[e.Name]; f != nil && e.Has(fsnotify.Remove|fsnotify.Rename) {
		f.watched = false // the folder itself is gone; one with its name may come
		_ = w.kernel.Remove(e.Name)
		return
	}
	f := w.folders[filepath.Dir(e.Name)]
	if f == nil {
		return
	}
	name := filepath.Base(e.Name)
	for _, c := range f.listeners {
		if strings.HasPrefix(name, c.prefix) {
			c.wake()
		}
	}
}

func (w *watcher) tellAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.folders {
		for _, c := range f.listeners {
			c.wake()
		}
	}
}

func (c *changes) wake() {
	select {
	case c.happened <- struct{}{}:
	default:
	}
}

// close ends what listen began.
func (c *changes) close() {
	w := c.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.folders[c.dir]
	f.listeners = slices.DeleteFunc(f.listeners, func(other *changes) bool { return other == c })
	if len(f.listeners) > 0 {
		return
	}
	delete(w.folders, c.dir)
	if w.kernel != nil && f.watched {
		_ = w.kernel.Remove(c.dir) // the folder may be gone
	}
}

// close ends the watcher, after its listeners.
func (w *watcher) close() {
	if w.kernel != nil {
		w.kernel.Close()
	}
	<-w.ended
}
