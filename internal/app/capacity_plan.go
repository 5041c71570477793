package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/plan"
)

// CapacityQuestion asks for a plan.
type CapacityQuestion struct {
	plan.Policy
	Horizon time.Duration // how far peaks are forecast; 0: as configured
}

type planInput struct {
	Growth      float64  `query:"growth" minimum:"0" doc:"share that the peak grows by, such as 0.2"`
	LostZones   int      `query:"lost_zones" default:"1" minimum:"0" doc:"zones that may be lost"`
	Utilisation float64  `query:"utilisation" default:"0.7" doc:"share of the safe rate that is planned with"`
	Risk        float64  `query:"risk" minimum:"0" maximum:"0.5" doc:"that the busiest hour of the horizon is above the forecast peak; 0: as configured"`
	Horizon     string   `query:"horizon" doc:"how far peaks are forecast, such as 14d or 48h; default: as configured"`
	Without     []string `query:"without,explode" doc:"zones that are thought away"`
	Event       []string `query:"event,explode" doc:"an event that is thought to fall on the peak, such as 11.11=8x"`
	Price       float64  `query:"price" minimum:"0" doc:"of a pod for an hour; 0: as configured"`
}

func (in planInput) question() (q CapacityQuestion, err error) {
	q.Policy = plan.Policy{
		Growth: in.Growth, LostZones: in.LostZones, Utilisation: in.Utilisation, Risk: in.Risk, Without: in.Without, PodHour: in.Price,
	}
	for _, text := range in.Event {
		e, err := plan.ParseWhatIf(text)
		if err != nil {
			return q, err
		}
		q.Events = append(q.Events, e)
	}
	q.Horizon, err = ParseHorizon(in.Horizon)
	return q, err
}

// maxHorizon is where guessing begins.
const maxHorizon = 90 * 24 * time.Hour

// ParseHorizon reads a length of time such as 14d or 48h; empty is 0.
func ParseHorizon(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if n, isDays := strings.CutSuffix(text, "d"); isDays {
		var days float64
		days, err = strconv.ParseFloat(n, 64)
		d = time.Duration(days * 24 * float64(time.Hour))
	}
	if err != nil || d < time.Hour || d > maxHorizon {
		return 0, fmt.Errorf("horizon: is %q, want a length of time from 1h to 90d", text)
	}
	return d, nil
}

func (s *System) getPlan(ctx context.Context, in *planInput) (*body[plan.Plan], error) {
	q, err := in.question()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	p, err := s.Plan(ctx, q)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	return reply(p), nil
}

// Plan plans all functions that have a forecast or a rate per pod. A question
// without zones means those that have pods. Without stored calls it plans with what
// is declared.
func (s *System) Plan(ctx context.Context, q CapacityQuestion) (plan.Plan, error) {
	p, c := q.Policy, s.cfg.Capacity
	if len(p.Zones) == 0 {
		p.Zones = s.zonesWithPods()
	}
	if p.Risk == 0 {
		p.Risk = c.Risk
	}
	if p.PodHour == 0 {
		p.PodHour = c.PodHourPrice
	}
	if q.Horizon == 0 {
		q.Horizon = c.Horizon.Std()
	}
	var asked []string
	for _, e := range p.Events {
		asked = append(asked, e.Name)
	}
	foreseen, err := s.foresee(ctx, q.Horizon, asked)
	if ctx.Err() != nil {
		return plan.Plan{}, err
	}
	if err != nil && s.ch != nil {
		s.log.Warn("capacity is planned without stored calls", "error", err)
	}
	ready := s.readyPerZone()
	var functions []plan.Function
	for _, f := range s.registry.Current().Set.Functions {
		functions = append(functions, planned(f, p, foreseen, ready[f.Name]))
	}
	return plan.Make(p, functions)
}

// readyPerZone is how many pods are ready, by function and zone.
func (s *System) readyPerZone() map[string]map[string]int {
	ready := map[string]map[string]int{}
	for _, f := range s.xds.State().Functions {
		ready[f.Name] = map[string]int{}
		for _, c := range f.Pods {
			ready[f.Name][c.Zone] += c.Ready
		}
	}
	return ready
}

// week is the number of hours whose mean is a function's rate of late.
const week = 7 * 24

// planned is what is known of a function: the peak is what was forecast or what is
// declared, whichever is more.
func planned(f *api.Function, p plan.Policy, all map[string]foreseen, ready map[string]int) plan.Function {
	c := f.Spec.Capacity
	x := plan.Function{
		Name: f.Name, SafeRate: c.Rate(), Measured: c.Measured != nil, HavePerZone: ready,
		Unplanned: c.Forecast == 0 && c.PerPodQPS == 0,
	}
	peak := []plan.Input{}
	if c.Forecast > 0 {
		peak = append(peak, plan.Input{Name: "peak", Value: c.Forecast, Source: plan.SourceDeclared})
	}
	if seen, ok := all[f.Name]; ok {
		x.Mean, x.MeanKnown = seen.series.Mean(week), true
		if seen.err != nil {
			x.Notes = append(x.Notes, seen.why())
		} else {
			in := plan.Input{Name: "peak", Source: plan.SourceForecast, Date: seen.Start.UTC().Format(time.DateOnly)}
			in.Value, in.Text = seen.text(p.Risk)
			peak, x.Notes = append(peak, in), append(x.Notes, seen.Notes...)
		}
	}
	if most := largest(peak); most >= 0 {
		peak[most].Used, x.PeakQPS = true, peak[most].Value
	}
	x.Inputs = append(peak, safeRate(c)...)
	return x
}

// largest is the index of the input of the largest value; -1 when there is none.
func largest(inputs []plan.Input) int {
	most := -1
	for i, in := range inputs {
		if most < 0 || in.Value > inputs[most].Value {
			most = i
		}
	}
	return most
}

func safeRate(c api.Capacity) []plan.Input {
	in := plan.Input{Name: "safe_rate", Value: c.Rate(), Source: plan.SourceDeclared, Used: true}
	switch {
	case c.Rate() == 0:
		return nil
	case c.Measured != nil:
		in.Source, in.Date = plan.SourceMeasured, c.Measured.Date
	}
	return slices.Concat([]plan.Input{in}, measuredBounds(c))
}

func measuredBounds(c api.Capacity) (all []plan.Input) {
	if m := c.Measured; m != nil {
		all = append(all, plan.Input{Name: "measured_low", Value: m.Low, Source: plan.SourceMeasured, Date: m.Date})
		if m.High > 0 {
			all = append(all, plan.Input{Name: "measured_high", Value: m.High, Source: plan.SourceMeasured, Date: m.Date})
		}
	}
	return all
}
