package collector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/kongdao/kongdao/collector/als"
	"github.com/kongdao/kongdao/collector/completeness"
	"github.com/kongdao/kongdao/collector/filelog"
	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/collector/tally"
	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Collector takes calls from its sources to one ClickHouse.
type Collector struct {
	cfg      Config
	log      *slog.Logger
	client   *clickhouse.Client
	wal      *wal.Log
	pipeline *pipeline
	shipper  *ship.Shipper
	tailer   *filelog.Tailer // nil without the source file
	als      *als.Server     // nil without the source als
	calls    *tally.Metrics
	admit    *admission
	complete *completeness.Watcher
	stood    atomic.Pointer[time.Time] // when the log was last seen to take nothing
	tails    tails
	started  atomic.Bool // Run was called
}

// New opens the write-ahead log in cfg.Dir, which nobody else may have open, and
// starts nothing. ClickHouse need not be there yet; its tables must be by the
// time it is. Either Run or Close gives back what New took.
func New(cfg Config, server clickhouse.Options, log *slog.Logger, reg prometheus.Registerer) (_ *Collector, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	c := &Collector{cfg: cfg, log: log, tails: tails{open: map[*Tail]struct{}{}}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("collector: %w", err), c.Close())
		}
	}()
	server.MaxConns = max(server.MaxConns, cfg.Parallel)
	if c.client, err = clickhouse.New(server); err != nil {
		return nil, err
	}
	if c.wal, err = wal.Open(wal.Options{Dir: cfg.walDir(), BudgetBytes: cfg.WALBytes, Log: log}); err != nil {
		return nil, err
	}
	if c.shipper, err = ship.New(cfg.ship(), ship.Calls(), c.wal, c.client, log, reg); err != nil {
		return nil, err
	}
	if c.admit, err = newAdmission(cfg); err != nil {
		return nil, err
	}
	c.calls = tally.NewMetrics(cfg.MaxSeries)
	if c.pipeline, err = newPipeline(c.wal, cfg.MaxRows, cfg.FlushInterval.Std(), c.durable, c.calls.Add); err != nil {
		return nil, err
	}
	if err := c.openCompleteness(reg); err != nil {
		return nil, err
	}
	if err := c.openSources(reg); err != nil {
		return nil, err
	}
	return c, c.registerState(reg)
}

func (c *Collector) openSources(reg prometheus.Registerer) (err error) {
	if c.cfg.Source.file() {
		if c.tailer, err = filelog.New(c.cfg.file(), c.pipeline.resume(), c.log, reg, c.putBatch); err != nil {
			return err
		}
	}
	if c.cfg.Source.als() {
		c.als, err = als.New(c.cfg.als(), c.log, reg, c.putCalls, c.counting())
	}
	return err
}

// ALSAddr is where the access log service listens; empty without the source als.
func (c *Collector) ALSAddr() string {
	if c.als == nil {
		return ""
	}
	return c.als.Addr()
}

// putCalls is the sink of access log streams.
func (c *Collector) putCalls(ctx context.Context, calls iter.Seq[*calllog.Record]) error {
	return c.pipeline.put(ctx, "", filelog.Position{}, func(b *batch) { c.admit.fill(b, c.counted(b, calls)) })
}

// putBatch is the sink of the log files.
func (c *Collector) putBatch(ctx context.Context, b filelog.Batch) error {
	if b.Records == nil {
		c.pipeline.forget(b.Source)
		return nil
	}
	return c.pipeline.put(ctx, b.Source, b.Position, func(to *batch) { c.admit.fill(to, c.counted(to, b.Records)) })
}

// durable is called with each block once it is in the write-ahead log.
func (c *Collector) durable(b *calllog.Block, at positions) {
	c.tails.publish(b)
	if c.tailer == nil {
		return
	}
	for path, p := range at {
		c.tailer.Stored(path, p)
	}
}

// Run collects until ctx ends. Then it stops reading, makes what was read durable,
// delivers for DrainTimeout at most, and returns nil; what is left is delivered by
// the next Run. An error means that it could not go on. Run is for one call.
func (c *Collector) Run(ctx context.Context) error {
	c.started.Store(true)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	// Delivery ends after the last block has been written.
	delivering, stopDelivering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivering()
	var delivery errgroup.Group
	delivery.Go(func() error {
		defer stopReading()
		return c.shipper.Run(delivering)
	})
	err := c.read(reading)
	c.lastFlush()
	stopDelivering()
	err = errors.Join(err, delivery.Wait())
	c.complete.Finish(context.WithoutCancel(ctx))
	return errors.Join(err, c.Close())
}

// read runs the sources and the pipeline until ctx ends or one of them fails.
func (c *Collector) read(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return c.pipeline.run(running) })
	g.Go(func() error { return c.complete.Run(running) })
	if c.tailer != nil {
		g.Go(func() error { return c.tailer.Run(running) })
	}
	if c.als != nil {
		g.Go(func() error { return c.als.Run(running) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("collector: %w", err)
	}
	return nil
}

// lastFlush makes durable what was read before the sources ended.
func (c *Collector) lastFlush() {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.pipeline.flushAll(ctx); err != nil {
		c.log.Warn("calls in memory could not be written; those of files are read again at the next start, those of streams are lost",
			"calls", c.pipeline.held(), "error", err)
	}
}

// Close gives back what New took, for a Collector that does not run. Run does the
// same at its end; more calls do nothing.
func (c *Collector) Close() error {
	var errs []error
	if c.als != nil && !c.started.Load() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		errs = append(errs, c.als.Run(ended)) // gives the address back
	}
	if c.wal != nil {
		errs = append(errs, c.wal.Close())
	}
	if c.client != nil {
		errs = append(errs, c.client.Close())
	}
	return errors.Join(errs...)
}

// Drain makes durable what has been read so far and waits until ClickHouse has
// stored it. It needs Run, and may be called by any goroutine. Blocks that
// ClickHouse refused for good count as settled: see Stats.DeadRows.
func (c *Collector) Drain(ctx context.Context) error {
	if err := c.pipeline.flushAll(ctx); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if err := c.wal.WaitAcked(ctx, c.wal.Stats().LastSeq); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// Stats is the state of a collector at one moment.
type Stats struct {
	Read        int64         `json:"read"`        // calls taken from the sources since New
	SampledOut  int64         `json:"sampledOut"`  // of those, calls that sampling did not store
	Stored      int64         `json:"stored"`      // calls that ClickHouse acknowledged since New
	Unstored    int64         `json:"unstored"`    // calls in the write-ahead log that it has not
	DeadRows    int64         `json:"deadRows"`    // calls that it refused for good since New
	Oldest      time.Time     `json:"oldest"`      // time of the oldest call in the log that is not stored; zero: none
	Lag         time.Duration `json:"lag"`         // its age, nanoseconds
	WALBytes    int64         `json:"walBytes"`    // disk that the log uses
	WALBudget   int64         `json:"walBudget"`   // and may use
	Waiting     string        `json:"waiting"`     // why the log takes no blocks: "", budget or disk
	Quarantined int           `json:"quarantined"` // damaged ranges of the log that were set aside, ever
	Failing     bool          `json:"failing"`     // ClickHouse did not take the last block that was tried
	Failure     string        `json:"failure"`     // and why
}

// Stats returns the state of the collector.
func (c *Collector) Stats() Stats {
	w := c.wal.Stats()
	return Stats{
		Read: c.pipeline.read(), SampledOut: c.admit.left.Load(), Stored: c.shipper.Rows(), Unstored: w.Rows, DeadRows: c.shipper.DeadRows(),
		Oldest: w.Oldest, Lag: age(w.Oldest), WALBytes: w.Bytes, WALBudget: w.Budget,
		Waiting: w.Waiting, Quarantined: w.Quarantined, Failing: c.shipper.Failing(), Failure: c.shipper.Failure(),
	}
}
