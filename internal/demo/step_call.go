package demo

import (
	"context"
	"fmt"
	"time"
)

// callFor is how long users call before the counts are compared.
const callFor = 7 * time.Second

func (w *walk) call(ctx context.Context, s *Step) error {
	for begin := time.Now(); time.Since(begin) < callFor; {
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		w.progress("%d calls sent", w.users.Counts().Sent)
	}
	w.stopUsers()
	logged, err := w.logged(ctx, w.sent.Sent)
	if err != nil {
		return err
	}
	off := 0
	for name, n := range w.sent.ByFunction {
		off += abs(n - logged[name])
		s.must(n == logged[name], "%s: sent %d, logged %d", name, n, logged[name])
	}
	s.figure("calls sent", float64(w.sent.Sent), "", "%d to %d functions", w.sent.Sent, len(w.sent.ByFunction))
	s.figure("calls logged", float64(sum(logged)), "", "%d", sum(logged))
	s.figure("difference, by function", float64(off), "", "%d", off)
	s.must(w.sent.Failed == 0, "%d calls failed, first: %s", w.sent.Failed, w.sent.FirstFailure)
	return w.startUsers()
}

// logged counts the stored ordinary calls by function. It waits until there are as
// many as expected: the last lines are on their way for a moment.
func (w *walk) logged(ctx context.Context, want int) (map[string]int, error) {
	var counts map[string]int
	err := until(ctx, 15*time.Second, func() (bool, error) {
		if err := w.system.Drain(ctx); err != nil {
			return false, err
		}
		var err error
		counts, err = w.countCalls(ctx)
		return sum(counts) >= want, err
	})
	if counts != nil {
		return counts, nil // whatever is missing shows in the figures
	}
	return nil, err
}

func (w *walk) countCalls(ctx context.Context) (map[string]int, error) {
	rows, err := w.system.ClickHouse().Query(ctx, "SELECT function, count() FROM calls WHERE load_test = '' AND ts >= fromUnixTimestamp64Micro(?) GROUP BY function", w.began.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("count calls: %w", err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var name string
		var n uint64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		counts[name] = int(n)
	}
	return counts, rows.Err()
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func abs(n int) int { return max(n, -n) }
