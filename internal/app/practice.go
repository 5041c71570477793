package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/capacity/drill"
)

// practiceAlert never keeps a run from taking place: that would be for ever.
const practiceAlert = "PracticeMissed"

// byPractice says who ordered a drill.
const byPractice = "practice"

// practice are the drills that are carried out by themselves.
type practice struct {
	drills *drills
	since  time.Time // when practice was first asked for
	runs   *prometheus.CounterVec

	mu   sync.Mutex
	last time.Time // when a run was begun or given up
}

// startPractice starts the drills that the configuration asks for; it does nothing
// without any.
func (s *System) startPractice() error {
	times := s.cfg.Practice.Weekly()
	if s.drills == nil || s.ch == nil || len(times) == 0 {
		return nil
	}
	where, err := s.cfg.Capacity.Location()
	if err != nil {
		return fmt.Errorf("practice: %w", err)
	}
	p := &practice{drills: s.drills}
	if p.since, err = firstTime(filepath.Join(s.drills.history.Dir, "since")); err != nil {
		return fmt.Errorf("practice: %w", err)
	}
	if err := p.register(s.reg); err != nil {
		return fmt.Errorf("practice: %w", err)
	}
	p.last = p.lastRun()
	run := drill.Practice{
		Times: times, Where: where, Window: s.cfg.Practice.Window.Std(), Every: 5 * time.Second,
		Since: p.since, Last: p.lastTried, Blocked: p.blocked, Drill: p.drill, Missed: p.missed,
	}
	s.life.start("practice", run.Run)
	return nil
}

// firstTime is when this was first asked, which a file remembers.
func firstTime(path string) (t time.Time, err error) {
	text, err := os.ReadFile(path)
	if err == nil && t.UnmarshalText(text) == nil {
		return t, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return t, err
	}
	t = time.Now().UTC()
	if text, err = t.MarshalText(); err != nil {
		return t, err
	}
	return t, os.WriteFile(path, text, 0o600)
}

func (p *practice) register(reg prometheus.Registerer) error {
	p.runs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kongdao_practice_runs_total", Help: "Practice runs that were due, by result: done, taken_back, missed.",
	}, []string{"result"})
	for _, r := range []string{"done", "taken_back", "missed"} {
		p.runs.WithLabelValues(r)
	}
	return errors.Join(reg.Register(p.runs), reg.Register(ages{p}))
}

// ages is a prometheus.Collector of how long ago zones were drilled.
type ages struct{ practice *practice }

var (
	ageDesc    = prometheus.NewDesc("kongdao_practice_age_seconds", "Time since a zone was last drilled as planned, or since practice was asked for.", []string{"zone"}, nil)
	remindDesc = prometheus.NewDesc("kongdao_practice_remind_seconds", "Age of a zone's last drill at which practice.remindIn wants an alert.", nil, nil)
)

// Describe implements prometheus.Collector.
func (ages) Describe(out chan<- *prometheus.Desc) { out <- ageDesc; out <- remindDesc }

// Collect implements prometheus.Collector.
func (a ages) Collect(out chan<- prometheus.Metric) {
	p := a.practice
	if remind := p.drills.system.cfg.Practice.RemindIn.Std(); remind > 0 {
		out <- prometheus.MustNewConstMetric(remindDesc, prometheus.GaugeValue, remind.Seconds())
	}
	for zone, last := range p.lastDone() {
		out <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, time.Since(last).Seconds(), zone)
	}
}

// zones are those that are practised with.
func (p *practice) zones() []string {
	if zones := p.drills.system.cfg.Practice.Zones; len(zones) > 0 {
		return zones
	}
	return p.drills.system.zonesWithPods()
}

// lastDone is when each zone was last drilled as planned.
func (p *practice) lastDone() map[string]time.Time {
	last := map[string]time.Time{}
	for _, zone := range p.zones() {
		last[zone] = p.since
	}
	for zone, at := range p.drills.lastDone() {
		if _, asked := last[zone]; asked {
			last[zone] = at
		}
	}
	return last
}

// lastRun is when the latest practice run of the history began.
func (p *practice) lastRun() time.Time {
	all, err := p.drills.history.List()
	if err != nil {
		p.drills.log.Error("drills of before", "error", err)
	}
	for _, r := range all {
		if r.By == byPractice {
			return r.Began
		}
	}
	return time.Time{}
}

func (p *practice) lastTried() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *practice) tried() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// blocked is what is in the way of a run.
func (p *practice) blocked(ctx context.Context) string {
	s := p.drills.system
	if why := s.busyZones(); why != "" {
		return why
	}
	if s.alerting == nil {
		return ""
	}
	alerts, err := s.firing(ctx)
	if err != nil {
		return "which alerts fire is not known: " + err.Error()
	}
	var names []string
	for _, a := range alerts {
		if a.Name != practiceAlert && !slices.Contains(names, a.String()) {
			names = append(names, a.String())
		}
	}
	if len(names) > 0 {
		return "alerts fire: " + strings.Join(names, ", ")
	}
	return ""
}

// busyZones says what moves zones at the moment, if anything.
func (s *System) busyZones() string {
	for zone, shift := range s.moved.current() {
		return fmt.Sprintf("zone %s has %d %% of its share", zone, shift.Weight)
	}
	return ""
}

// drill is one run, to its end: of the zone that was drilled least recently.
func (p *practice) drill(ctx context.Context) (drill.Record, error) {
	zone, oldest := "", time.Now()
	for z, last := range p.lastDone() {
		if last.Before(oldest) || last.Equal(oldest) && z < zone {
			zone, oldest = z, last
		}
	}
	if zone == "" {
		return drill.Record{}, errors.New("no zone has pods")
	}
	check, err := p.drills.system.drillCheck(ctx, zone)
	if err == nil {
		err = check.Err()
	}
	if err != nil {
		return drill.Record{}, fmt.Errorf("zone %s: %w", zone, err)
	}
	o := drill.Order{Zone: zone, By: byPractice, Config: drillConfig()}
	o.Config.Hold = p.drills.system.cfg.Practice.Hold.Std()
	r, err := p.drills.begin(o)
	if err != nil || r.State != drill.Running {
		return r, err
	}
	p.tried()
	r = p.drills.wait(ctx, r.ID)
	result := "taken_back"
	if r.State == drill.Done {
		result = "done"
	}
	p.runs.WithLabelValues(result).Inc()
	return r, nil
}

// missed notes a run that did not take place, in the history and in the log.
func (p *practice) missed(due time.Time, why string) {
	p.tried()
	p.runs.WithLabelValues("missed").Inc()
	now := time.Now()
	r := drill.Record{
		ID: now.UTC().Format("20060102-150405.000") + "-practice", By: byPractice, State: drill.Refused, Began: now, Ended: now,
		Error:    fmt.Sprintf("practice of %s was missed: %s", due.Format("Mon 15:04"), why),
		Forecast: []drill.Forecast{}, Events: []drill.Event{}, Alerts: []drill.Outcome{},
	}
	p.drills.log.Warn("practice run was missed", "due", due, "why", why)
	if err := p.drills.history.Save(r.ID, r); err != nil {
		p.drills.log.Error("practice run that was missed", "error", err)
	}
}
