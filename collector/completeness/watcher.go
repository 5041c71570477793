package completeness

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Watcher compares what gateways counted with what came out of their logs and with
// what ClickHouse has. It is safe for concurrent use.
type Watcher struct {
	cfg   Config
	log   *slog.Logger
	store *store
	state State

	mu       sync.Mutex
	gateways map[string]*gateway
}

// New prepares a Watcher. client stays the caller's; the table completeness must
// be there by the time that it answers.
func New(cfg Config, client *clickhouse.Client, state State, log *slog.Logger, reg prometheus.Registerer) (*Watcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("completeness: %w", err)
	}
	w := &Watcher{cfg: cfg, log: log, store: &store{client}, state: state, gateways: map[string]*gateway{}}
	if reg == nil {
		return w, nil
	}
	return w, reg.Register(w)
}

// Sample takes the counters of a gateway.
func (w *Watcher) Sample(s Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g := w.find(s.Gateway, s.Zone); g != nil {
		g.sample(s, time.Now())
	}
}

// Gone tells that a gateway's counters ended to come at a moment. It matters only
// if the next ones are those of a gateway that was started again.
func (w *Watcher) Gone(name string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g := w.gateways[name]; g != nil {
		g.gone = at
	}
}

// maxGateways bounds memory and series; gateways beyond are not watched.
const maxGateways = 2000

// find is the gateway of a name, which is made when there is none; nil when there
// are too many.
func (w *Watcher) find(name, zone string) *gateway {
	if g := w.gateways[name]; g != nil {
		return g
	}
	if len(w.gateways) >= maxGateways {
		return nil
	}
	g := &gateway{name: name, zone: zone, began: time.Now(), saved: map[int64]saved{}}
	w.gateways[name] = g
	return g
}

// Reading counts the calls of one batch. It holds the Watcher until Done.
type Reading struct {
	w       *Watcher
	gateway *gateway
	name    string
}

// Read begins to count a batch.
func (w *Watcher) Read() Reading {
	w.mu.Lock()
	return Reading{w: w}
}

// Add counts a call, or a connection, of which rows were kept: one, or none when
// sampling left it out.
func (r *Reading) Add(c *calllog.Record, rows int) {
	if r.name != c.Gateway || r.gateway == nil {
		r.name, r.gateway = c.Gateway, r.w.find(c.Gateway, c.GatewayZone)
	}
	if r.gateway == nil {
		return
	}
	b := bucket{at: c.Time + int64(c.DurationUS), calls: 1, rows: int64(rows), longest: int64(c.DurationUS)}
	if connection(c) { // which the gateway's counters do not count
		b.calls = 0
	}
	if c.DurationUS == math.MaxUint32 { // or more: all that is known is that it is over
		b.at, b.longest = time.Now().UnixMicro(), 0
	}
	r.gateway.ledger.receive(b)
}

// connection tells whether a record is that of a TCP connection.
func connection(c *calllog.Record) bool {
	if len(c.Method) > 0 {
		return false
	}
	for _, a := range c.Attrs {
		if a.Key == calllog.AttrProtocol {
			return true
		}
	}
	return false
}

// Done ends the batch.
func (r *Reading) Done() { r.w.mu.Unlock() }

// tick is how often accounts are looked at.
const tick = 2 * time.Second

// Run watches until ctx ends, which gives nil.
func (w *Watcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range w.cfg.Polls {
		g.Go(func() error { return w.poll(ctx, p) })
	}
	g.Go(func() error { return w.watch(ctx) })
	return g.Wait()
}

func (w *Watcher) watch(ctx context.Context) error {
	tick := time.NewTicker(min(tick, w.cfg.Horizon))
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := w.look(ctx, false)
		if err != nil && !failing && ctx.Err() == nil {
			w.log.Warn("completeness cannot be stored; it is tried again", "error", err)
		}
		failing = err != nil
	}
}

// Finish stores where the Watcher stands, after Run and after the last call was
// stored: the next one goes on from there.
func (w *Watcher) Finish(ctx context.Context) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.look(ctx, true); err != nil {
		w.log.Warn("the last minute's completeness was not stored", "error", err)
	}
}

// poll reads the counters of a gateway on this machine. With 10,000 clusters a
// reading takes Envoy long, and then there are fewer.
func (w *Watcher) poll(ctx context.Context, read Poll) error {
	const share = 50 // of the time
	pause := w.cfg.Interval
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		begin := time.Now()
		reading, cancel := context.WithTimeout(ctx, 10*time.Second)
		s, err := read(reading)
		cancel()
		if err == nil {
			s.Time, s.Took = begin, time.Since(begin)
			w.Sample(s)
		}
		pause = min(max(w.cfg.Interval, share*time.Since(begin)), 10*time.Second)
	}
}

// look settles what can be settled, and stores the minutes that changed. last: the
// minute that is not over, too.
func (w *Watcher) look(ctx context.Context, last bool) error {
	if err := w.restore(ctx); err != nil {
		return err
	}
	rows := w.due(time.Now(), last)
	if len(rows) == 0 {
		return nil
	}
	if err := w.count(ctx, rows); err != nil {
		return err
	}
	return w.save(ctx, rows)
}

// restore asks for what earlier collectors knew of gateways that are new.
func (w *Watcher) restore(ctx context.Context) error {
	w.mu.Lock()
	var names []string
	for name, g := range w.gateways {
		if !g.restored && len(g.waiting) > 0 {
			names = append(names, name)
		}
	}
	w.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	rows, err := w.store.resume(ctx, names)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		w.gateways[name].resume(slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Gateway != name }))
	}
	return nil
}

// Kept is how far back late calls are still found again, and fine how long single
// readings are kept.
const (
	Kept = 2 * time.Hour
	fine = 5 * time.Minute
)

// written is how long a gateway may hold what it writes to its log.
const written = 2 * time.Second

// due settles accounts and gives the rows that have to be stored.
func (w *Watcher) due(now time.Time, last bool) (rows []Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ripe := now.Add(-w.cfg.Horizon).UnixMicro()
	for name, g := range w.gateways {
		if now.Sub(later(g.heard, g.began)) > w.cfg.Forget {
			delete(w.gateways, name)
			continue
		}
		upTo := ripe
		if w.state.Through != nil {
			upTo = min(ripe, w.state.Through(name).Add(-written).UnixMicro())
		}
		g.settle(upTo)
		g.ledger.merge(now.Add(-fine).UnixMicro())
		g.forget(now.Add(-Kept).UnixMicro())
		for _, r := range g.rows(last) {
			if r.Until.UnixMicro() > ripe && !last {
				break
			}
			before, known := g.saved[r.Until.UnixMicro()]
			if !known || before.differs(r, now, last) {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// differs tells whether the row has to be looked at once more: because it changed,
// or because ClickHouse did not have all of it and may now.
func (s saved) differs(r Row, now time.Time, last bool) bool {
	const again = 10 * time.Second
	if now.Sub(s.at) < again && !last {
		return false
	}
	b := s.row
	return last && b.Settled != r.Settled || b.Received != r.Received || b.Lost != r.Lost || b.Late != r.Late || b.Estimated != r.Estimated ||
		!b.Settled || b.Unstored > 0 && now.Sub(s.at) > time.Minute
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// count fills in what ClickHouse has of rows.
func (w *Watcher) count(ctx context.Context, rows []Row) error {
	var oldest time.Time
	if w.state.Oldest != nil {
		oldest = w.state.Oldest()
	}
	counts, err := w.store.count(ctx, rows, w.longest(rows))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range rows {
		r := &rows[i]
		c := counts[i]
		r.Stored = int64(c.Rows)
		if !oldest.IsZero() && !oldest.After(r.Until) { // ClickHouse may not have all of it yet
			r.Settled = false
			continue
		}
		if g := w.gateways[r.Gateway]; g != nil {
			g.told(r.Until.UnixMicro(), int64(c.Rows), int64(c.Calls))
		}
		r.Unstored = max(0, r.Rows-r.Stored)
	}
	return nil
}

// longest is the longest call of rows: the table is read from that long before.
func (w *Watcher) longest(rows []Row) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest int64
	for _, r := range rows {
		for _, m := range w.gateways[r.Gateway].ledger.marks {
			if m.at > r.Since.UnixMicro() && m.at <= r.Until.UnixMicro() {
				longest = max(longest, m.longest)
				if m.shared {
					longest = max(longest, minute)
				}
			}
		}
	}
	return time.Duration(longest) * time.Microsecond
}

func (w *Watcher) save(ctx context.Context, rows []Row) error {
	if err := w.store.save(ctx, rows); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rows {
		g := w.gateways[r.Gateway]
		if g == nil {
			continue
		}
		before := g.saved[r.Until.UnixMicro()].row
		g.saved[r.Until.UnixMicro()] = saved{row: r, at: time.Now()}
		g.unstored += max(0, r.Unstored-before.Unstored)
		if r.Settled && r.Missing() > before.Missing() {
			w.log.Warn("calls are missing from the call log", "gateway", r.Gateway, "minute", r.Minute.UTC().Format(time.RFC3339),
				"counted", r.Counted, "lost_before_the_collector", r.Lost, "not_in_clickhouse", r.Unstored, "estimated", r.Estimated)
		}
	}
	return nil
}

// Account is what is known of a gateway since this Watcher began, and of the
// minutes before that it resumed.
type Account struct {
	Counted  int64 // calls up to the last reading
	Received int64 // of these, those that came out of the log
	Lost     int64 // calls that are missing, estimated ones included; not those of resumed minutes
	Late     int64 // calls that are still expected
	Readings int   // that are kept
	Settled  bool  // nothing more is expected of what the last process of the gateway but one counted
}

// Account is that of a gateway; zero when it was never heard of.
func (w *Watcher) Account(gateway string) (a Account) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.gateways[gateway]
	if g == nil || len(g.ledger.marks) == 0 {
		return a
	}
	for i, counted := range g.ledger.sheet().counted {
		a.Counted += counted + g.ledger.marks[i].estimate
		if i > 0 {
			a.Received += g.ledger.marks[i].received
		}
	}
	a.Lost, a.Late, a.Readings = g.lost, g.late(), len(g.ledger.marks)
	for _, m := range g.ledger.marks {
		if m.blind {
			a.Settled = m.at <= g.settled
		}
	}
	return a
}
