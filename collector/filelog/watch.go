package filelog

import (
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// changes tells that something happened to the files of a log, in case the
// kernel says so; the rest is found by polling.
type changes struct {
	happened chan struct{} // 1: one pending wake-up stands for all
	watcher  *fsnotify.Watcher
	ended    chan struct{}
}

// watch watches the folder of path, as a file that is renamed or not there yet
// cannot be watched itself.
func watch(path string, log *slog.Logger) *changes {
	c := &changes{happened: make(chan struct{}, 1), ended: make(chan struct{})}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(filepath.Dir(path)); err != nil {
			w.Close()
		}
	}
	if err != nil {
		log.Info("access log cannot be watched; polling it", "path", path, "err", err)
		close(c.ended)
		return c
	}
	c.watcher = w
	go c.forward(path)
	return c
}

func (c *changes) forward(path string) {
	defer close(c.ended)
	prefix := filepath.Base(path)
	for {
		select {
		case e, ok := <-c.watcher.Events:
			if !ok {
				return
			}
			if strings.HasPrefix(filepath.Base(e.Name), prefix) {
				c.wake()
			}
		case _, ok := <-c.watcher.Errors:
			if !ok {
				return
			}
			c.wake() // the queue overflowed: whatever was lost is there to be read
		}
	}
}

func (c *changes) wake() {
	select {
	case c.happened <- struct{}{}:
	default:
	}
}

func (c *changes) close() {
	if c.watcher != nil {
		c.watcher.Close()
	}
	<-c.ended
}
