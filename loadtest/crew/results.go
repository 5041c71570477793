package crew

import (
	"bufio"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// Single results stay with an agent until its run has ended, in a file that has no
// name: to send them meanwhile would be work beside what is measured. Then they come
// in pieces, and the coordinator makes one file of all, in the order of planned times.

// piece is how many bytes of a file go into a message.
const piece = 256 << 10

// resultsGrace is how long single results may take to come when a run was stopped.
const resultsGrace = 30 * time.Second

// unnamed is a file that goes when it is closed.
func unnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "kongdao-results-*")
	if err != nil {
		return nil, fmt.Errorf("keep single results: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("keep single results: %w", err), f.Close())
	}
	return f, nil
}

// sendResults sends what is in the file, and that it was all.
func (l *line) sendResults(f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	part := make([]byte, piece)
	for {
		n, err := f.Read(part)
		if n > 0 {
			if err := l.send(message{Results: part[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return l.send(message{ResultsEnd: true})
		case err != nil:
			return err
		}
	}
}

// receiveResults keeps what an agent sends.
func (m *member) receiveResults(silence time.Duration) (*os.File, error) {
	f, err := unnamed()
	if err != nil {
		return nil, err
	}
	for {
		got, err := m.receive(silence, maxMessage)
		if err == nil && len(got.Results) > 0 {
			_, err = f.Write(got.Results)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if got.ResultsEnd {
			_, err = f.Seek(0, io.SeekStart)
			return f, err
		}
	}
}

// results are one agent's.
type results struct {
	share  attack.Share
	ahead  time.Duration // its clock
	decode vegeta.Decoder
	next   vegeta.Result
}

// read takes the next one: with its number in the whole plan, by the coordinator's
// clock.
func (r *results) read() error {
	r.next = vegeta.Result{}
	if err := r.decode(&r.next); err != nil {
		return err
	}
	r.next.Seq = r.next.Seq*uint64(max(1, r.share.Of)) + uint64(r.share.Index)
	r.next.Timestamp = r.next.Timestamp.Add(-r.ahead)
	return nil
}

// merged is a heap by planned time.
type merged []*results

func (m merged) Len() int           { return len(m) }
func (m merged) Less(i, j int) bool { return m[i].next.Timestamp.Before(m[j].next.Timestamp) }
func (m merged) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merged) Push(x any)        { *m = append(*m, x.(*results)) }
func (m *merged) Pop() any {
	all := *m
	last := all[len(all)-1]
	*m = all[:len(all)-1]
	return last
}

// merge writes the results of all agents as one run's.
func merge(to io.Writer, all []*results) error {
	out := bufio.NewWriterSize(to, 1<<16)
	encode := vegeta.NewEncoder(out)
	var left merged
	for _, r := range all {
		switch err := r.read(); {
		case err == nil:
			heap.Push(&left, r)
		case !errors.Is(err, io.EOF):
			return fmt.Errorf("merge single results: %w", err)
		}
	}
	for len(left) > 0 {
		first := left[0]
		if err := encode(&first.next); err != nil {
			return fmt.Errorf("merge single results: %w", err)
		}
		switch err := first.read(); {
		case err == nil:
			heap.Fix(&left, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&left)
		default:
			return fmt.Errorf("merge single results: %w", err)
		}
	}
	return out.Flush()
}
