package ship

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Config is what a user may set.
type Config struct {
	Parallel        int          `yaml:"parallel"`        // inserts at a time
	InsertTimeout   api.Duration `yaml:"insertTimeout"`   // of one try
	DrainTimeout    api.Duration `yaml:"drainTimeout"`    // for what is left when Run's context ends; 0: leave it in the log
	DeadLetterDir   string       `yaml:"deadLetterDir"`   // folder of blocks that were refused for good
	DeadLetterBytes int64        `yaml:"deadLetterBytes"` // disk that it may use
}

// DefaultConfig is complete but for DeadLetterDir.
func DefaultConfig() Config {
	return Config{
		Parallel:        2,
		InsertTimeout:   api.Duration(time.Minute),
		DrainTimeout:    api.Duration(5 * time.Second),
		DeadLetterBytes: 256 << 20,
	}
}

// Validate lists everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Parallel < 1 || c.Parallel > 16 {
		errs = append(errs, fmt.Errorf("parallel: %d is not between 1 and 16", c.Parallel))
	}
	if c.InsertTimeout <= 0 {
		errs = append(errs, fmt.Errorf("insertTimeout: %s is not above zero", c.InsertTimeout))
	}
	if c.DrainTimeout < 0 {
		errs = append(errs, fmt.Errorf("drainTimeout: %s is negative", c.DrainTimeout))
	}
	if c.DeadLetterDir == "" {
		errs = append(errs, errors.New("deadLetterDir: missing"))
	}
	if c.DeadLetterBytes < 0 {
		errs = append(errs, fmt.Errorf("deadLetterBytes: %d is negative", c.DeadLetterBytes))
	}
	return errors.Join(errs...)
}

// Shipper moves blocks from one log to one table.
type Shipper struct {
	cfg      Config
	table    Table
	wal      *wal.Log
	inserter *clickhouse.Inserter
	ledger   ledger
	log      *slog.Logger
	metrics  metrics
	dead     *deadLetters

	longTried time.Duration
	replaying sync.Mutex // held by Replay

	failing     atomic.Bool // the last try of some block failed
	failure     atomic.Pointer[string]
	gaveUp      atomic.Bool // a block was left in the log because Run is ending
	rows        atomic.Int64
	refusedRows atomic.Int64 // those that went to the dead-letter folder
}

// New prepares delivery of the blocks in w, which stays the caller's, to table of
// the server that client leads to. It connects to nothing. Metrics carry the name
// of the table, so that several shippers share a registerer.
func New(cfg Config, table Table, w *wal.Log, client *clickhouse.Client, log *slog.Logger, reg prometheus.Registerer) (*Shipper, error) {
	if err := errors.Join(cfg.Validate(), table.validate()); err != nil {
		return nil, fmt.Errorf("ship: %w", err)
	}
	dead, err := openDeadLetters(cfg.DeadLetterDir, cfg.DeadLetterBytes)
	if err != nil {
		return nil, fmt.Errorf("ship: %w", err)
	}
	m, err := newMetrics(table.Name, dead, reg)
	if err != nil {
		return nil, fmt.Errorf("ship: %w", err)
	}
	options := client.Options()
	options.MaxConns = cfg.Parallel
	return &Shipper{
		cfg: cfg, table: table, wal: w, inserter: clickhouse.NewInserter(options, table.Revision),
		ledger: ledger{client: client, table: table.Name}, longTried: longTried,
		log: log.With(slog.String("table", table.Name)), metrics: m, dead: dead,
	}, nil
}

// Close gives connections back, for a Shipper that does not run.
func (s *Shipper) Close() error { return s.inserter.Close() }

// Rows is how many rows were stored since New.
func (s *Shipper) Rows() int64 { return s.rows.Load() }

// DeadRows is how many rows went to the dead-letter folder since New.
func (s *Shipper) DeadRows() int64 { return s.refusedRows.Load() }

// Failing reports that ClickHouse did not take the last block that was tried.
func (s *Shipper) Failing() bool { return s.failing.Load() }

// Failure is why ClickHouse did not take the last block that was tried; empty when
// it did.
func (s *Shipper) Failure() string {
	if why := s.failure.Load(); why != nil && s.failing.Load() {
		return *why
	}
	return ""
}

// Run delivers blocks until ctx ends. Then it goes on for DrainTimeout at most, as
// long as the log has blocks and ClickHouse takes them; the rest stays in the log.
// It returns an error only when the log cannot be read. Run is for one call.
func (s *Shipper) Run(ctx context.Context) error {
	// Inserts outlive ctx, because one that is cut off has to be sent again.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := context.AfterFunc(ctx, func() {
		t := time.NewTimer(s.cfg.DrainTimeout.Std())
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-work.Done():
		}
	})
	defer ended()

	var inserts errgroup.Group
	inserts.SetLimit(s.cfg.Parallel)
	err := s.readAll(ctx, work, func(rec wal.Record) {
		inserts.Go(func() error {
			s.deliver(ctx, work, rec)
			return nil
		})
	})
	_ = inserts.Wait() // deliver has no error: it stores, sets aside or leaves
	return errors.Join(err, s.inserter.Close())
}

// readAll hands each record to send, which blocks while enough are under way.
func (s *Shipper) readAll(ctx, work context.Context, send func(wal.Record)) error {
	for {
		rec, err := s.wal.Next(ctx)
		if ctx.Err() != nil && err != nil {
			break
		}
		if err != nil {
			return fmt.Errorf("ship: %w", err)
		}
		send(rec)
	}
	for work.Err() == nil && !s.gaveUp.Load() {
		rec, ok, err := s.wal.TryNext()
		if err != nil {
			return fmt.Errorf("ship: %w", err)
		}
		if !ok {
			return nil
		}
		send(rec)
	}
	return nil
}

// deliver stores the record, or sets it aside, and acknowledges it. When ctx has
// ended it does not try again and leaves it in the log.
func (s *Shipper) deliver(ctx, work context.Context, rec wal.Record) {
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = 100 * time.Millisecond
	policy.Multiplier = 2
	policy.MaxInterval = 5 * time.Second
	d := &delivery{left: []wal.Record{rec}, begun: time.Now()}
	_, err := backoff.Retry(ctx,
		func() (struct{}, error) { return struct{}{}, s.settle(work, d) },
		backoff.WithBackOff(policy),
		backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, _ time.Duration) { s.noteFailure(rec, err) }))
	if err != nil {
		s.gaveUp.Store(true)
		return
	}
	if err := s.wal.Ack(rec.Seq); err != nil {
		s.log.Warn("write-ahead log's cursor was not saved; the block may be sent again with its token",
			slog.String("token", rec.Token), slog.Any("error", err))
	}
}

func (s *Shipper) noteStored(rows int) {
	s.rows.Add(int64(rows))
	s.metrics.rows.Add(float64(rows))
	if s.failing.Swap(false) {
		s.log.Info("clickhouse takes blocks again")
	}
}

func (s *Shipper) noteFailure(rec wal.Record, err error) {
	s.metrics.retries.Inc()
	why := err.Error()
	s.failure.Store(&why)
	if !s.failing.Swap(true) {
		s.log.Warn("clickhouse does not take blocks; they wait in the write-ahead log and are tried again",
			slog.String("token", rec.Token), slog.Any("error", err))
	}
}
