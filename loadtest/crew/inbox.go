package crew

import (
	"sync"
	"time"
)

// inbox is what the coordinator says, while the agent does something else.
type inbox struct {
	messages chan message // closed when there will be no more; err says why
	err      error
	quit     chan struct{}
	reading  sync.WaitGroup
}

// open begins to read; silence ends it.
func (l *line) open(silence time.Duration) *inbox {
	in := &inbox{messages: make(chan message), quit: make(chan struct{})}
	in.reading.Go(func() {
		defer close(in.messages)
		for {
			m, err := l.receive(silence, maxMessage)
			if err != nil {
				in.err = err
				return
			}
			select {
			case in.messages <- m:
			case <-in.quit:
				return
			}
		}
	})
	return in
}

// close is for when the connection is closed.
func (in *inbox) close() {
	close(in.quit)
	in.reading.Wait()
}

// obey calls stop when the coordinator says so or is gone, until it is ended.
func (in *inbox) obey(stop func()) (end func()) {
	ended := make(chan struct{})
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for {
			select {
			case m, ok := <-in.messages:
				if !ok || m.Stop {
					stop()
					return
				}
			case <-ended:
				return
			}
		}
	})
	return func() { close(ended); hearing.Wait() }
}
