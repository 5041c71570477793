package rule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/compression"
)

// longRetention is for what error budgets of 30 days are made of.
const longRetention = 31 * 24 * time.Hour

// database is two: one for all that is scraped, kept for hours, and one for the few
// series that objectives are recorded in, kept for a month. Which one a series is in
// follows from its name.
type database struct {
	*tsdb.DB // of all others
	long     *tsdb.DB
}

// openDatabase opens both, small: short heads, small hash tables and buffers.
func openDatabase(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*database, error) {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = cfg.Retention.Milliseconds()
	o.MinBlockDuration = (30 * time.Minute).Milliseconds()
	o.MaxBlockDuration = (2 * time.Hour).Milliseconds()
	o.StripeSize = 512
	o.WALSegmentSize = 8 << 20
	o.WALCompression = compression.Snappy
	o.HeadChunksWriteBufferSize = 256 << 10
	o.EnableSTAsZeroSample = true // a counter that appears with 1 has increased by 1
	long := *o
	db, err := tsdb.Open(cfg.Dir, log, reg, o, tsdb.NewDBStats())
	if err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	long.RetentionDuration = longRetention.Milliseconds()
	long.MinBlockDuration = (2 * time.Hour).Milliseconds()
	long.MaxBlockDuration = (72 * time.Hour).Milliseconds()
	if reg != nil {
		reg = prometheus.WrapRegistererWithPrefix("long_", reg)
	}
	l, err := tsdb.Open(filepath.Join(cfg.Dir, "long"), log, reg, &long, tsdb.NewDBStats())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open metrics of objectives: %w", err), db.Close())
	}
	return &database{db, l}, nil
}

// Close closes both.
func (d *database) Close() error { return errors.Join(d.DB.Close(), d.long.Close()) }

// AppenderV2 appends to both; each series goes to the one that its name says.
func (d *database) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &appender{AppenderV2: d.DB.AppenderV2(ctx), open: func() storage.AppenderV2 { return d.long.AppenderV2(ctx) }}
}

type appender struct {
	storage.AppenderV2
	long storage.AppenderV2 // nil until it is needed
	open func() storage.AppenderV2
}

// Append is storage's. References are the short database's alone: rules have none.
func (a *appender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AppendV2Options) (storage.SeriesRef, error) {
	if !strings.HasPrefix(ls.Get(model.MetricNameLabel), longPrefix) {
		return a.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
	}
	if a.long == nil {
		a.long = a.open()
	}
	_, err := a.long.Append(0, ls, st, t, v, h, fh, o)
	return 0, err
}

// Commit is storage's.
func (a *appender) Commit() error {
	err := a.AppenderV2.Commit()
	if a.long != nil {
		err = errors.Join(err, a.long.Commit())
	}
	return err
}

// Rollback is storage's.
func (a *appender) Rollback() error {
	err := a.AppenderV2.Rollback()
	if a.long != nil {
		err = errors.Join(err, a.long.Rollback())
	}
	return err
}

// Querier reads both.
func (d *database) Querier(from, to int64) (storage.Querier, error) {
	q, err := d.DB.Querier(from, to)
	if err != nil {
		return nil, err
	}
	l, err := d.long.Querier(from, to)
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return &querier{q, l}, nil
}

// ChunkQuerier reads what is scraped alone; only remote reading asks for chunks,
// which is not served.
func (d *database) ChunkQuerier(from, to int64) (storage.ChunkQuerier, error) {
	return d.DB.ChunkQuerier(from, to)
}

type querier struct{ short, long storage.Querier }

// Select asks the one database that can have the series, or both when it does not
// say which name they have.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	for _, m := range matchers {
		if m.Name != model.MetricNameLabel || m.Type != labels.MatchEqual {
			continue
		}
		if strings.HasPrefix(m.Value, longPrefix) {
			return q.long.Select(ctx, sorted, hints, matchers...)
		}
		return q.short.Select(ctx, sorted, hints, matchers...)
	}
	sets := []storage.SeriesSet{q.short.Select(ctx, true, hints, matchers...), q.long.Select(ctx, true, hints, matchers...)}
	return storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
}

// LabelValues are those of both.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return both(func(q storage.Querier) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, name, hints, matchers...)
	}, q.short, q.long)
}

// LabelNames are those of both.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return both(func(q storage.Querier) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, hints, matchers...)
	}, q.short, q.long)
}

func both(ask func(storage.Querier) ([]string, annotations.Annotations, error), qs ...storage.Querier) (all []string, notes annotations.Annotations, err error) {
	for _, q := range qs {
		some, more, err := ask(q)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, some...)
		notes.Merge(more)
	}
	slices.Sort(all)
	return slices.Compact(all), notes, nil
}

// Close is storage's.
func (q *querier) Close() error { return errors.Join(q.short.Close(), q.long.Close()) }
