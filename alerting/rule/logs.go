package rule

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
)

// LogRow is a row of the answer to a log rule: an alert for each.
type LogRow struct {
	Labels map[string]string
	Value  float64
}

// LogQuery asks ClickHouse. It has to bound what a query may read and take, and to
// end with ctx.
type LogQuery func(ctx context.Context, sql string) ([]LogRow, error)

const (
	logTimeout = 10 * time.Second
	// logQueries run at a time; each rule has one at most anyway, as groups are
	// evaluated one rule after the other.
	logQueries = 2
	// mostLogRows bounds the alerts of a rule.
	mostLogRows = 1000
	// logHold is how long a rule goes on with its last answer while ClickHouse gives
	// none: a database that is away is no recovery of what it told of.
	logHold = 15 * time.Minute
	// logDelay is how long a call may take from its end to the database.
	logDelay = 2 * time.Second
)

// logs answers log rules.
type logs struct {
	ask   LogQuery // nil: there is no ClickHouse
	texts *texts
	next  rules.QueryFunc // of all other expressions
	slots chan struct{}

	mu   sync.Mutex
	last map[string]logAnswer // by expression
}

type logAnswer struct {
	at      time.Time
	rows    []LogRow
	failing error // of the last try; nil: rows are its answer
}

func newLogs(ask LogQuery, t *texts) *logs {
	return &logs{ask: ask, texts: t, slots: make(chan struct{}, logQueries), last: map[string]logAnswer{}}
}

// query is the rule manager's way to ask anything.
func (l *logs) query(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
	sql, window, ok := l.texts.logQueryOf(expr)
	if !ok {
		return l.next(ctx, expr, at)
	}
	rows, err := l.rows(ctx, sql, window, at)
	return l.settle(expr, at, rows, err)
}

// settle remembers an answer, and has the last one stand in for none.
func (l *logs) settle(expr string, at time.Time, rows []LogRow, err error) (promql.Vector, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.last[expr] = logAnswer{at: at, rows: rows}
		return vector(rows, at)
	}
	old, known := l.last[expr]
	old.failing = err
	l.last[expr] = old
	if !known || old.at.IsZero() || at.Sub(old.at) > logHold {
		return nil, err
	}
	return vector(old.rows, at)
}

// failing are the log rules whose last question failed, by expression, for those
// whose last answer still stands.
func (l *logs) failing(expr string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last[expr].failing
}

// keep forgets answers of expressions that are asked no more.
func (l *logs) keep(expr map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range l.last {
		if !expr[e] {
			delete(l.last, e)
		}
	}
}

func (l *logs) rows(ctx context.Context, sql string, window time.Duration, at time.Time) ([]LogRow, error) {
	if l.ask == nil {
		return nil, errors.New("log rules need ClickHouse: on a server, name a reader in alerting.logReader that they ask as")
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("other log rules take too long: %w", ctx.Err())
	}
	return l.ask(ctx, bounded(sql, window, at))
}

// bounded puts in what {from}, {to} and {seconds} stand for.
func bounded(sql string, window time.Duration, at time.Time) string {
	to := at.Add(-logDelay)
	moment := func(t time.Time) string { return fmt.Sprintf("fromUnixTimestamp64Milli(%d, 'UTC')", t.UnixMilli()) }
	return strings.NewReplacer(
		"{from}", moment(to.Add(-window)), "{to}", moment(to),
		"{seconds}", strconv.FormatFloat(window.Seconds(), 'f', -1, 64),
	).Replace(sql)
}

// vector is rows as Prometheus' engine would answer.
func vector(rows []LogRow, at time.Time) (promql.Vector, error) {
	if len(rows) > mostLogRows {
		return nil, fmt.Errorf("the answer has more than %d rows, and each would be an alert: group by fewer columns, or add HAVING", mostLogRows)
	}
	v := make(promql.Vector, 0, len(rows))
	seen := map[uint64]bool{}
	for _, r := range rows {
		if math.IsNaN(r.Value) {
			continue // a share of nothing
		}
		b := labels.NewBuilder(labels.EmptyLabels())
		for name, value := range r.Labels {
			if !model.LegacyValidation.IsValidLabelName(name) || name == model.MetricNameLabel {
				return nil, fmt.Errorf("column %q: is no name of a label", name)
			}
			b.Set(name, value)
		}
		ls := b.Labels()
		if seen[ls.Hash()] {
			return nil, fmt.Errorf("two rows have the labels %s: group by all columns but value", ls)
		}
		seen[ls.Hash()] = true
		v = append(v, promql.Sample{T: timestamp.FromTime(at), F: r.Value, Metric: ls})
	}
	return v, nil
}
