package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// store is what a system that has stopped has kept: its own engine, opened by
// the test. Nobody writes to it any more.
type store struct {
	t    *testing.T
	data string
	*clickhouse.Client
}

func openStore(t *testing.T, data string) store {
	t.Helper()
	cfg := embedded.DefaultConfig()
	cfg.Dir = filepath.Join(data, "clickhouse")
	engine := must(embedded.New(cfg, slog.New(slog.DiscardHandler), nil))(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	until(t, "the engine is ready", func() error {
		select {
		case <-engine.Ready():
			return nil
		default:
			return os.ErrDeadlineExceeded
		}
	})
	client := must(clickhouse.Open(t.Context(), engine.Options()))(t)
	t.Cleanup(func() { _ = client.Close() })
	return store{t, data, client}
}

// number is the answer to a query for one number.
func (s store) number(query string, args ...any) (n uint64) {
	s.t.Helper()
	if err := s.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// byFunction is the answer to a query for names and numbers.
func (s store) byFunction(query string) map[string]int {
	s.t.Helper()
	rows, err := s.Query(s.t.Context(), query)
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var name string
		var n uint64
		if err := rows.Scan(&name, &n); err != nil {
			s.t.Fatal(err)
		}
		counts[name] = int(n)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return counts
}

// equals fails unless the table has as many rows as calls were sent, function by
// function.
func (s store) equals(sent map[string]int) {
	s.t.Helper()
	if diff := cmp.Diff(sent, s.byFunction("SELECT function, count() FROM calls GROUP BY function")); diff != "" {
		s.t.Errorf("calls by function (-sent +stored):\n%s", diff)
	}
}

// exact fails unless every whole line of the gateway's log is one row, no row has
// a double, and the rollups are the sums of the rows. answered, the calls whose
// answers callers have seen, must all be there.
func (s store) exact(answered map[string]string) {
	s.t.Helper()
	stored, lines := s.ids(), logged(s.t, s.data)
	rows := len(stored)
	stored = slices.Compact(stored)
	s.t.Logf("%d lines in the log, %d rows, %d answers seen by callers", len(lines), rows, len(answered))
	if rows != len(stored) {
		s.t.Errorf("%d rows of %d calls: %d are double", rows, len(stored), rows-len(stored))
	}
	s.none("logged calls are not stored", without(lines, stored))
	s.none("stored calls are not in the log", without(stored, lines))
	s.none("answered calls are not stored", without(slices.Sorted(maps.Keys(answered)), stored))
	s.rollups()
}

func (s store) none(what string, ids []string) {
	s.t.Helper()
	if len(ids) > 0 {
		s.t.Errorf("%d %s, such as %s", len(ids), what, ids[0])
	}
}

// ids are the request ids of all rows, sorted. Rows that stand for a line that a
// kill has torn have none.
func (s store) ids() (ids []string) {
	s.t.Helper()
	rows, err := s.Query(s.t.Context(), "SELECT toString(request_id) FROM calls WHERE NOT mapContains(attrs, 'malformed')")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

// rollups fails unless each of them adds up to the calls.
func (s store) rollups() {
	s.t.Helper()
	want := s.byFunction("SELECT concat(function, ' ', toString(status)), sum(sample_weight) FROM calls GROUP BY 1")
	out := s.byFunction("SELECT function, sum(bytes_out) FROM calls GROUP BY 1")
	for _, table := range []string{"calls_10s", "calls_1m", "calls_1h"} {
		got := s.byFunction("SELECT concat(function, ' ', toString(status)), sum(calls) FROM " + table + " GROUP BY 1")
		if diff := cmp.Diff(want, got); diff != "" {
			s.t.Errorf("%s by function and status (-calls +%s):\n%s", table, table, diff)
		}
		if diff := cmp.Diff(out, s.byFunction("SELECT function, sum(bytes_out) FROM "+table+" GROUP BY 1")); diff != "" {
			s.t.Errorf("%s, bytes (-calls +%s):\n%s", table, table, diff)
		}
	}
}

// logged are the request ids of all whole lines in the gateway's log, sorted.
func logged(t *testing.T, data string) (ids []string) {
	t.Helper()
	files := must(filepath.Glob(filepath.Join(data, "gateway", "access.log*")))(t)
	for _, file := range files {
		var r calllog.Record
		for line := range bytes.Lines(must(os.ReadFile(file))(t)) {
			_, line = calllog.Torn(line)
			if !bytes.HasSuffix(line, []byte("\n")) || calllog.ParseText(line, &r) != nil {
				continue // torn by a kill
			}
			u := r.RequestID
			ids = append(ids, fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]))
		}
	}
	slices.Sort(ids)
	return ids
}

// without are the elements of sorted a that sorted b does not have.
func without(a, b []string) (missing []string) {
	for _, v := range a {
		if _, found := slices.BinarySearch(b, v); !found {
			missing = append(missing, v)
		}
	}
	return missing
}
