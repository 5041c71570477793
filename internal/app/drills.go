package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/capacity/drill"
	"github.com/kongdao/kongdao/capacity/kept"
)

// keptDrills is how many drills are remembered: four years of weekly ones.
const keptDrills = 200

// TestFleet are pods that belong to this process, and may therefore be killed.
type TestFleet struct {
	Kill   func(ctx context.Context, zone string) error
	Revive func(ctx context.Context, zone string) error // returns when they run again
}

// drills carries out drills, one at a time.
type drills struct {
	system  *System
	log     *slog.Logger
	history kept.Folder[drill.Record]
	closing chan struct{}
	metrics *drillMetrics

	mu      sync.Mutex
	fleet   *TestFleet
	closed  bool
	current *running
	last    drill.Record         // that has ended, also where it could not be written down
	done    map[string]time.Time // when zones were last drilled as planned
	all     sync.WaitGroup
}

// running is the drill that is being carried out.
type running struct {
	zone   string
	record drill.Record
	end    context.CancelFunc
	begun  chan struct{} // closed when the record is written down, or the drill was not begun
	once   sync.Once
}

// drillMetrics are what alerting and dashboards know of drills.
type drillMetrics struct {
	total *prometheus.CounterVec
	last  *prometheus.GaugeVec
}

func newDrillMetrics(reg prometheus.Registerer) (*drillMetrics, error) {
	m := &drillMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_drills_total", Help: "Drills of zones, by how they ended: done, taken_back, refused, interrupted.",
		}, []string{"result"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kongdao_drill_last_success_timestamp_seconds", Help: "When a zone was last drilled as planned.",
		}, []string{"zone"}),
	}
	for _, r := range []string{"done", "taken_back", "refused", "interrupted"} {
		m.total.WithLabelValues(r)
	}
	return m, errors.Join(reg.Register(m.total), reg.Register(m.last))
}

// count notes how a drill ended.
func (m *drillMetrics) count(r drill.Record) {
	results := map[drill.State]string{drill.Done: "done", drill.TakenBack: "taken_back", drill.Refused: "refused", drill.Interrupted: "interrupted"}
	if result := results[r.State]; result != "" {
		m.total.WithLabelValues(result).Inc()
	}
	if r.State == drill.Done {
		m.last.WithLabelValues(r.Zone).Set(float64(r.Ended.Unix()))
	}
}

// newDrills takes up what the process before left behind: the zone of a drill in the
// middle of which it ended gets its share back.
func (s *System) newDrills() (*drills, error) {
	m, err := newDrillMetrics(s.reg)
	if err != nil {
		return nil, err
	}
	d := &drills{
		system: s, log: s.log.With("part", "drills"), history: kept.Folder[drill.Record]{Dir: s.dir.sub("drills"), Keep: keptDrills},
		closing: make(chan struct{}), metrics: m, done: map[string]time.Time{},
	}
	all, err := d.history.List()
	if err != nil {
		d.log.Error("drills of before", "error", err)
	}
	for _, r := range all {
		if r.State == drill.Running {
			d.takeUp(r)
		}
		if _, known := d.done[r.Zone]; r.State == drill.Done && !known {
			d.done[r.Zone] = r.Ended
			m.last.WithLabelValues(r.Zone).Set(float64(r.Ended.Unix()))
		}
	}
	return d, nil
}

// takeUp ends a drill that was interrupted. The zone expires by itself if it cannot be
// restored now.
func (d *drills) takeUp(r drill.Record) {
	r.State, r.Ended = drill.Interrupted, time.Now()
	r.Error = "the process ended in the middle of it"
	if err := d.system.moved.set(r.Zone, -1, drill.FullWeight, 0); err != nil {
		r.Error += ", and the zone is not restored: " + err.Error()
	} else {
		r.Restored = true
		r.Events = append(r.Events, drill.Event{At: r.Ended, Weight: drill.FullWeight, What: "restored at the next start"})
	}
	d.metrics.count(r)
	d.log.Warn("drill was interrupted", "zone", r.Zone, "began", r.Began, "restored", r.Restored)
	if err := d.history.Save(r.ID, r); err != nil {
		d.log.Error("drill that was interrupted", "error", err)
	}
}

// UseTestFleet says that the pods belong to this process, so that a drill may kill
// them.
func (s *System) UseTestFleet(f TestFleet) {
	s.drills.mu.Lock()
	defer s.drills.mu.Unlock()
	s.drills.fleet = &f
}

// errBusy is for a second drill or switch.
var errBusy = errors.New("not now")

// begin starts a drill and returns its record as soon as it is under way, or why it
// is not.
func (d *drills) begin(o drill.Order) (drill.Record, error) {
	ctx, end := context.WithCancel(context.Background())
	r := &running{zone: o.Zone, end: end, begun: make(chan struct{})}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		end()
		return drill.Record{}, errStopping
	}
	if d.current != nil {
		other := d.current.zone
		d.mu.Unlock()
		end()
		return drill.Record{}, fmt.Errorf("%w: a drill of zone %s is under way", errBusy, other)
	}
	d.current = r
	var failed error // of a drill that was not begun
	d.all.Go(func() {
		defer end()
		record, err := drill.Exercise(ctx, d.fleetFor(r), o)
		d.mu.Lock()
		r.record, d.last, d.current = record, record, nil
		if record.State == drill.Done {
			d.done[record.Zone] = record.Ended
		}
		d.mu.Unlock()
		d.metrics.count(record)
		d.log.Info("drill ended", "zone", record.Zone, "by", record.By, "state", string(record.State), "error", err)
		r.once.Do(func() { failed = err; close(r.begun) })
	})
	d.mu.Unlock()
	<-r.begun
	d.mu.Lock()
	defer d.mu.Unlock()
	return r.record, failed
}

// fleetFor is this system as a drill sees it.
func (d *drills) fleetFor(r *running) drill.Fleet {
	s := d.system
	health := s.newProduction(healthWindow)
	fleet := drill.Fleet{
		Precheck: func(ctx context.Context, zone string) (drill.Precheck, error) {
			_ = health.look(ctx) // from here on calls are counted
			return s.drillCheck(ctx, zone)
		},
		Foresee: s.foreseeLoss,
		Share:   s.shareOf,
		SetShare: func(ctx context.Context, zone string, from, weight int, expiry time.Duration) error {
			if err := s.moved.set(zone, from, weight, expiry); errors.As(err, new(movedError)) {
				return fmt.Errorf("%w: %w", drill.ErrMoved, err)
			} else if err != nil {
				return err
			}
			return s.xds.WaitLive(ctx)
		},
		Health:  health.look,
		Observe: d.observe,
		Save: func(record drill.Record) error {
			err := d.history.Save(record.ID, record)
			d.mu.Lock()
			r.record = record
			d.mu.Unlock()
			if err == nil && record.State == drill.Running {
				r.once.Do(func() { close(r.begun) })
			}
			return err
		},
	}
	if s.alerting != nil {
		fleet.Alerts = s.firing
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fleet != nil {
		fleet.Kill, fleet.Revive = d.fleet.Kill, d.revive
	}
	return fleet
}

// revive brings a zone's pods back and waits until as many are ready as there are.
func (d *drills) revive(ctx context.Context, zone string) error {
	if err := d.fleet.Revive(ctx, zone); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, z := range d.system.xds.State().Zones {
			if z.Name == zone && z.Ready == z.Pods {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("pods of %s are not ready: %w", zone, ctx.Err())
		}
	}
}

// shareOf is what a zone has of its share, percent.
func (s *System) shareOf(zone string) int {
	if shift, moved := s.moved.current()[zone]; moved {
		return shift.Weight
	}
	return drill.FullWeight
}

// wait returns a drill's record when it has ended. The end of ctx ends the drill.
func (d *drills) wait(ctx context.Context, id string) drill.Record {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	ended := ctx.Done()
	for {
		r, err := d.get(id)
		if err != nil || r.State != drill.Running {
			return r
		}
		select {
		case <-tick.C:
		case <-ended:
			ended = nil
			d.abort(id)
		}
	}
}

// lastDone is when each zone was last drilled as planned.
func (d *drills) lastDone() map[string]time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.done)
}

// get is a drill's record, also while it is under way.
func (d *drills) get(id string) (drill.Record, error) {
	d.mu.Lock()
	if d.current != nil && d.current.record.ID == id {
		defer d.mu.Unlock()
		return d.current.record, nil
	}
	last := d.last
	d.mu.Unlock()
	if last.ID == id {
		return last, nil
	}
	return d.history.Get(id)
}

// zone is that of the drill under way; empty: none is.
func (d *drills) zone() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil {
		return ""
	}
	return d.current.zone
}

// abort ends a drill that is under way; its zone is restored. Another one is none of
// its business.
func (d *drills) abort(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil && d.current.record.ID == id {
		d.current.end()
	}
}

// stop ends the drill that is under way, restores its zone and waits for that.
func (d *drills) stop() {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.closing)
	}
	if d.current != nil {
		d.current.end()
	}
	d.mu.Unlock()
	d.all.Wait()
}
