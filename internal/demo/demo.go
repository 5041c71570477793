// Package demo brings up the real system on a demo fleet and walks the loop once:
// measure, plan, enforce, observe, alert, fail over. Everything it prints was
// measured while it ran; a step that does not show what it must is named.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/internal/demo/traffic"
	"github.com/kongdao/kongdao/internal/durable"
)

// Options are what a walk needs.
type Options struct {
	Config      config.Config // DataDir and ports; the resources are the demo's own
	Version     string
	ZoneCommand []string  // a command whose main calls fleet.ServeZone
	Out         io.Writer // where the walk is told
	Log         *slog.Logger
	Stay        bool // after the walk, until ctx ends
}

// ErrMissed means that a step did not show what it must; the report says which.
var ErrMissed = errors.New("the demo missed what it must show")

// Run brings everything up, walks the loop and takes everything down again, also
// when ctx ends in the middle.
func Run(ctx context.Context, o Options) (r Report, err error) {
	w := &walk{o: o, began: time.Now(), catalog: fleet.Catalog()}
	w.report = Report{Version: o.Version, Started: w.began, Data: o.Config.DataDir}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.steps(ctx); err != nil {
		return w.report, err
	}
	if missed := w.report.Missed(); len(missed) > 0 {
		err = fmt.Errorf("%w: %s", ErrMissed, strings.Join(missed, ", "))
	}
	if o.Stay && ctx.Err() == nil {
		w.system.UseTestFleet(w.testFleet())
		fmt.Fprintln(o.Out, "\nstays up until Ctrl-C")
		select {
		case <-ctx.Done():
		case failure := <-w.system.Failed():
			err = errors.Join(err, failure)
		}
	}
	return w.report, err
}

// walk is one walk through the loop.
type walk struct {
	o       Options
	began   time.Time
	catalog []fleet.Function
	report  Report

	robot     *dingtalktest.Server
	stopRobot func()
	zones     []*fleet.Process // by the order of fleet.Zones
	system    *app.System
	users     *traffic.Generator // background traffic, while it runs
	sent      traffic.Counts     // of background traffic that has ended
	others    int                // requests of other ordinary traffic that has ended
	feed      fleet.Rates

	overload, loss time.Time // when the faults began
	calm           time.Time // when the overload was over
}

// step is one step and what it must show.
type step struct {
	name, title string
	run         func(context.Context, *Step) error
}

// steps walks. A step that misses something does not keep the next from being
// shown; one that fails does.
func (w *walk) steps(ctx context.Context) error {
	all := []step{
		{"start", "Start: Envoy, ClickHouse, control plane, collector, alerting, three zones", w.start},
		{"call", "Call: users call all functions, every call is logged once", w.call},
		{"measure", "Measure: what can one pod of " + fleet.Feed + " take?", w.measure},
		{"plan", "Plan: pods for the peak, with any one zone lost", w.plan},
		{"enforce", "Enforce: twice what the pods can take is offered", w.enforce},
		{"failover", "Fail over: a zone is killed under load", w.failOver},
		{"alert", "Alert: on-call hears of it in DingTalk", w.alert},
		{"look", "Look: where everything is", w.look},
	}
	for i, s := range all {
		w.tell("\n%d  %s", i+1, s.title)
		r := Step{Name: s.name, Title: s.title}
		begin := time.Now()
		err := s.run(ctx, &r)
		r.Seconds = time.Since(begin).Seconds()
		if err != nil {
			if ctx.Err() != nil {
				return errors.New("stopped")
			}
			r.must(false, "%v", err)
		}
		r.OK = len(r.Missed) == 0
		w.report.Steps = append(w.report.Steps, r)
		w.tellStep(r)
		if err != nil {
			w.finish()
			return fmt.Errorf("%w: %s: %w", ErrMissed, s.name, err)
		}
	}
	w.finish()
	w.tell("\n%s in %.0f s; report %s", map[bool]string{true: "every step showed what it must", false: "MISSED"}[w.report.OK], w.report.Seconds, w.report.HTML)
	return nil
}

// finish writes the report as far as the walk went.
func (w *walk) finish() {
	w.report.Seconds = time.Since(w.began).Seconds()
	w.report.OK = len(w.report.Missed()) == 0
	w.report.HTML = filepath.Join(w.o.Config.DataDir, "report.html")
	page, err := w.report.Page()
	if err == nil {
		err = os.WriteFile(w.report.HTML, page, 0o600)
	}
	if err != nil {
		w.tell("report not written: %v", err)
	}
}

func (w *walk) tell(format string, args ...any) { fmt.Fprintf(w.o.Out, format+"\n", args...) }

// progress is one line of a step that runs.
func (w *walk) progress(format string, args ...any) { w.tell("     … "+format, args...) }

func (w *walk) tellStep(s Step) {
	for line := range strings.Lines(s.Text) {
		w.tell("     │ %s", strings.TrimRight(line, "\n"))
	}
	for _, f := range s.Figures {
		w.tell("     %-30s %s", f.Name, f.Text)
	}
	if s.Table != nil {
		s.Table.write(w.o.Out, "     ")
	}
	for _, m := range s.Missed {
		w.tell("     MISSED: %s", m)
	}
	if s.OK {
		w.tell("     ok, %.1f s", s.Seconds)
	}
}

// close stops what runs, in the order in which it depends on each other.
func (w *walk) close() error {
	if w.users != nil {
		w.users.Stop()
	}
	var err error
	if w.system != nil {
		err = w.system.Stop()
	}
	if w.stopRobot != nil {
		w.stopRobot()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var stopping sync.WaitGroup
	for _, z := range w.zones {
		if z != nil {
			stopping.Go(func() { z.Stop(ctx) })
		}
	}
	stopping.Wait()
	return err
}

// resourcesDir is where the demo's resources are, as a developer would have them.
func (w *walk) resourcesDir() string { return filepath.Join(w.o.Config.DataDir, "resources") }

// writeResources replaces the functions' file at once; the running system takes
// it up by itself.
func (w *walk) writeResources() error {
	specs := make([]fleet.ZoneSpec, len(w.zones))
	for i, z := range w.zones {
		specs[i] = z.Spec
	}
	b, err := fleet.Resources(w.catalog, specs, w.feed)
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(w.resourcesDir(), "functions.yaml"), b, 0o600)
}

// startUsers begins the background traffic: every function, twice a second.
func (w *walk) startUsers() error {
	paths := map[string]string{}
	for _, f := range w.catalog {
		paths[f.Name] = f.Path
	}
	g, err := traffic.Start(traffic.Source{
		Gateway: w.system.Addresses().Gateway, Host: fleet.Host, Paths: paths, Rate: 2 * float64(len(paths)),
	})
	w.users = g
	return err
}

// stopUsers ends the background traffic and adds up what it sent.
func (w *walk) stopUsers() {
	c := w.users.Stop()
	w.users = nil
	if w.sent.ByFunction == nil {
		w.sent.ByFunction = map[string]int{}
	}
	w.sent.Sent += c.Sent
	w.sent.Failed += c.Failed
	w.sent.Refused += c.Refused
	for name, n := range c.ByFunction {
		w.sent.ByFunction[name] += n
	}
}

// feedTraffic is ordinary traffic to the feed alone.
func (w *walk) feedTraffic(rate float64, workers uint64) (*traffic.Generator, error) {
	return traffic.Start(traffic.Source{
		Gateway: w.system.Addresses().Gateway, Host: fleet.Host,
		Paths: map[string]string{fleet.Feed: w.catalog[0].Path}, Rate: rate, Workers: workers,
	})
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until asks every 50 ms until it is told yes, or ctx or the limit ends.
func until(ctx context.Context, limit time.Duration, yes func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ok, err := yes()
		if ok || err != nil {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("not within %v", limit)
		}
	}
}
