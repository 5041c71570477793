package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Receiver takes log records of functions to one ClickHouse.
type Receiver struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	wal     *wal.Log
	client  *clickhouse.Client
	shipper *ship.Shipper
	writer  *writer

	grpcListener, httpListener net.Listener
	grpcServer                 *grpc.Server
	httpServer                 *http.Server

	slots   chan struct{} // one for each request that is read
	batches sync.Pool     // of *batch
	started atomic.Bool   // Run was called
}

// New opens the write-ahead log in cfg.Dir, which nobody else may have open, binds
// both addresses and serves nothing yet. ClickHouse need not be there yet; its
// tables must be by the time it is. Either Run or Close gives back what New took.
// reg may be nil.
func New(cfg Config, server clickhouse.Options, log *slog.Logger, reg prometheus.Registerer) (_ *Receiver, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	r := &Receiver{cfg: cfg, log: log, slots: make(chan struct{}, cfg.MaxRequests)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("otlp: %w", err), r.Close())
		}
	}()
	if r.metrics, err = newMetrics(reg); err != nil {
		return nil, err
	}
	if r.client, err = clickhouse.New(server); err != nil {
		return nil, err
	}
	if r.wal, err = wal.Open(wal.Options{Dir: cfg.walDir(), BudgetBytes: cfg.WALBytes, Log: log}); err != nil {
		return nil, err
	}
	if r.shipper, err = ship.New(cfg.ship(), Table(), r.wal, r.client, log, reg); err != nil {
		return nil, err
	}
	r.writer = newWriter(r.wal, cfg, log)
	if err := r.listen(); err != nil {
		return nil, err
	}
	return r, r.registerState(reg)
}

func (r *Receiver) listen() (err error) {
	if r.grpcListener, err = net.Listen("tcp", r.cfg.ListenGRPC); err != nil {
		return fmt.Errorf("listenGRPC: %w", err)
	}
	if r.httpListener, err = net.Listen("tcp", r.cfg.ListenHTTP); err != nil {
		return fmt.Errorf("listenHTTP: %w", err)
	}
	r.grpcServer = r.newGRPC()
	// A request that waits for its records to be written is answered within
	// FlushInterval and twice Patience.
	r.httpServer = &http.Server{
		Handler: r.httpHandler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	return nil
}

func (r *Receiver) registerState(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kongdao_collector_otlp_" + name, Help: help}, value)
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		gauge("unstored_records", "Log records of functions in the write-ahead log that ClickHouse has not taken.", func() float64 { return float64(r.wal.Stats().Rows) }),
		gauge("wal_bytes", "Disk that the write-ahead log of functions' log records uses.", func() float64 { return float64(r.wal.Stats().Bytes) }),
		gauge("wal_budget_bytes", "Disk that it may use.", func() float64 { return float64(r.cfg.WALBytes) }),
	} {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}

// AddrGRPC is where LogsService listens.
func (r *Receiver) AddrGRPC() string { return r.grpcListener.Addr().String() }

// AddrHTTP is where POST /v1/logs listens.
func (r *Receiver) AddrHTTP() string { return r.httpListener.Addr().String() }

// Run receives until ctx ends. Then it refuses new requests, answers those it has
// once their records are on disk, delivers for the drain timeout at most, and
// returns nil; what is left is delivered by the next Run. An error means that it
// could not go on. Run is for one call.
func (r *Receiver) Run(ctx context.Context) error {
	r.started.Store(true)
	delivering, stopDelivering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivering()
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return r.shipper.Run(delivering) })
	written := make(chan struct{})
	g.Go(func() error {
		defer close(written)
		return r.writer.run(writing)
	})
	g.Go(func() error { return ignoring(r.grpcServer.Serve(r.grpcListener), grpc.ErrServerStopped) })
	g.Go(func() error { return ignoring(r.httpServer.Serve(r.httpListener), http.ErrServerClosed) })
	<-running.Done()
	r.stopServing()
	stopWriting()
	<-written
	stopDelivering()
	if err := g.Wait(); err != nil {
		return errors.Join(fmt.Errorf("otlp: %w", err), r.Close())
	}
	return r.Close()
}

func ignoring(err, ordinary error) error {
	if errors.Is(err, ordinary) {
		return nil
	}
	return err
}

// stopServing lets requests that were read be answered; the writer still runs.
func (r *Receiver) stopServing() {
	const grace = 5 * time.Second
	var both sync.WaitGroup
	both.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if r.httpServer.Shutdown(ctx) != nil {
			_ = r.httpServer.Close()
		}
	})
	both.Go(func() {
		cut := time.AfterFunc(grace, r.grpcServer.Stop)
		defer cut.Stop()
		r.grpcServer.GracefulStop()
	})
	both.Wait()
}

// Close gives back what New took, for a Receiver that does not run. Run does the
// same at its end; more calls do nothing.
func (r *Receiver) Close() error {
	var errs []error
	if !r.started.Load() {
		for _, l := range []net.Listener{r.grpcListener, r.httpListener} {
			if l != nil {
				errs = append(errs, ignoring(l.Close(), net.ErrClosed))
			}
		}
	}
	if r.wal != nil {
		errs = append(errs, r.wal.Close())
	}
	if r.client != nil {
		errs = append(errs, r.client.Close())
	}
	return errors.Join(errs...)
}

// DeadLetters are the blocks that ClickHouse refused for good, and why.
func (r *Receiver) DeadLetters() ([]ship.DeadLetter, error) { return r.shipper.DeadLetters() }

// Replay sends dead letters again, all when no tokens are given; see
// ship.Shipper.Replay. It works while Run runs.
func (r *Receiver) Replay(ctx context.Context, tokens []string) ([]ship.Replayed, error) {
	return r.shipper.Replay(ctx, tokens)
}

// ReplayIn is Replay for the folder of a receiver that does not run, which nobody
// else may start meanwhile.
func ReplayIn(ctx context.Context, cfg Config, server clickhouse.Options, tokens []string) (done []ship.Replayed, err error) {
	client, err := clickhouse.New(server)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	s, err := ship.New(cfg.ship(), Table(), nil, client, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Replay(ctx, tokens)
}

// Drain waits until ClickHouse has stored every record that was answered so far.
// It needs Run, and may be called by any goroutine.
func (r *Receiver) Drain(ctx context.Context) error {
	if err := r.wal.WaitAcked(ctx, r.wal.Stats().LastSeq); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// Stats is the state of a receiver at one moment.
type Stats struct {
	Stored   int64     `json:"stored"`   // records that ClickHouse acknowledged since New
	Unstored int64     `json:"unstored"` // records in the write-ahead log that it has not
	DeadRows int64     `json:"deadRows"` // records that it refused for good since New
	Oldest   time.Time `json:"oldest"`   // time of the oldest record that is not stored; zero: none
	WALBytes int64     `json:"walBytes"` // disk that the log uses
	Waiting  string    `json:"waiting"`  // why the log takes no blocks: "", budget or disk
}

// Stats returns the state of the receiver.
func (r *Receiver) Stats() Stats {
	w := r.wal.Stats()
	return Stats{
		Stored: r.shipper.Rows(), Unstored: w.Rows, DeadRows: r.shipper.DeadRows(),
		Oldest: w.Oldest, WALBytes: w.Bytes, Waiting: w.Waiting,
	}
}
