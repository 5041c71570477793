package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/capacity/forecast"
	"github.com/kongdao/kongdao/internal/config"
)

// forecasts are those of this hour: rates are known by the hour, so that the same
// question has the same answer until the next one.
type forecasts struct {
	mu        sync.Mutex
	hour      time.Time
	histories map[string]history
	made      map[string]map[string]foreseen // by question, then function
	failed    time.Time                      // when ClickHouse last did not answer
	failure   error
}

// again is when a question that failed is asked once more.
const again = 10 * time.Second

// foreseen is the forecast of one function, or why there is none.
type foreseen struct {
	forecast.Forecast
	history
	err error
}

// mostQuestions bounds what is kept of one hour.
const mostQuestions = 16

// foresee forecasts every function with stored calls. Events of the names in without
// are taken for ordinary days of the horizon.
func (s *System) foresee(ctx context.Context, horizon time.Duration, without []string) (map[string]foreseen, error) {
	f := &s.forecasts
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if hour := now.Truncate(time.Hour); !hour.Equal(f.hour) || f.histories == nil {
		if now.Sub(f.failed) < again {
			return nil, f.failure
		}
		histories, err := s.histories(ctx, now, s.lookBack())
		if err != nil {
			if ctx.Err() == nil { // else it is the asker who left
				f.failed, f.failure = now, err
			}
			return nil, err
		}
		f.hour, f.histories, f.made = hour, histories, map[string]map[string]foreseen{}
	}
	key := fmt.Sprint(horizon, " ", strings.Join(slices.Sorted(slices.Values(without)), " "))
	if made, ok := f.made[key]; ok {
		return made, nil
	}
	made, err := s.forecastAll(ctx, f.histories, horizon, without)
	if err != nil {
		return nil, err
	}
	if len(f.made) >= mostQuestions {
		clear(f.made)
	}
	f.made[key] = made
	return made, nil
}

// lookBack is as far as events without a factor have to be learned from.
func (s *System) lookBack() time.Duration {
	if slices.ContainsFunc(s.cfg.Capacity.Events, func(e config.Event) bool { return e.Factor == 0 }) {
		return historyEvents
	}
	return historySeasons
}

// forecastAll forecasts on all processors.
func (s *System) forecastAll(ctx context.Context, histories map[string]history, horizon time.Duration, without []string) (map[string]foreseen, error) {
	names := slices.Sorted(maps.Keys(histories))
	made := make([]foreseen, len(names))
	var all sync.WaitGroup
	for first := range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := first; i < len(names) && ctx.Err() == nil; i += runtime.GOMAXPROCS(0) {
				h := histories[names[i]]
				f, err := forecast.Make(h.series, forecast.Options{Horizon: horizon, Events: s.events(names[i], without), Zone: s.zone()})
				made[i] = foreseen{f, h, err}
			}
		})
	}
	all.Wait()
	out := make(map[string]foreseen, len(names))
	for i, name := range names {
		out[name] = made[i]
	}
	return out, context.Cause(ctx)
}

// zone is the place whose days events and seasons have.
func (s *System) zone() *time.Location {
	where, err := s.cfg.Capacity.Location()
	if err != nil {
		return time.UTC // the configuration was checked
	}
	return where
}

// events are the configured ones that touch a function.
func (s *System) events(function string, without []string) (all []forecast.Event) {
	where := s.zone()
	for _, e := range s.cfg.Capacity.Events {
		if len(e.Functions) > 0 && !slices.Contains(e.Functions, function) {
			continue
		}
		x := forecast.Event{Name: e.Name, Factor: e.Factor}
		if slices.Contains(without, e.Name) {
			x.Factor = 1
		}
		for _, begin := range e.Start(where) {
			x.Windows = append(x.Windows, forecast.Window{From: begin, To: begin.AddDate(0, 0, e.Days)})
		}
		all = append(all, x)
	}
	return all
}

// text says what a forecast peak is made of.
func (f foreseen) text(risk float64) (peak float64, text string) {
	rate, at := f.Peak(risk)
	peak = rate * f.burst
	text = fmt.Sprintf("peak %.1f/s by forecast, about %s: %.1f/s over the hour with risk %.2g, %.2f times that in its busiest minute",
		peak, at.UTC().Format("Mon 2006-01-02 15:04 MST"), rate, risk, f.burst)
	if a := f.Accuracy; a.Origins > 0 {
		text += fmt.Sprintf("; sMAPE %.1f %% over %d hours from %d origins, %.1f %% when the last season is repeated", 100*a.SMAPE, a.Steps, a.Origins, 100*a.Naive)
		if a.Coverage >= 0 {
			text += fmt.Sprintf(", %.0f %% within %.0f %% intervals", 100*a.Coverage, 100*a.Nominal)
		}
	}
	for _, e := range f.Events {
		if e.Factor > 0 {
			text += fmt.Sprintf("; event %s %.3gx, %s", e.Name, e.Factor, e.Source)
		}
	}
	return peak, text
}

// why says in a note why there is no forecast.
func (f foreseen) why() string {
	if errors.Is(f.err, forecast.ErrShort) {
		return "no forecast: " + strings.TrimSuffix(f.err.Error(), ": "+forecast.ErrShort.Error()) + " is too little"
	}
	return "no forecast: " + f.err.Error()
}
