package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/predict"
	"github.com/kongdao/kongdao/capacity/watch"
)

// Watched is the answer to GET /capacity/watch.
type Watched struct {
	At        time.Time         `json:"at" doc:"when it was last looked at; the first look comes a minute after the start"`
	Functions []WatchedFunction `json:"functions"`
	Error     string            `json:"error,omitempty" doc:"why the last look failed"`
}

// WatchedFunction is a function with ordinary calls in the last hours.
type WatchedFunction struct {
	Function  string            `json:"function"`
	Revisions []WatchedRevision `json:"revisions" doc:"that had calls, in the order of the resource"`
}

// WatchedRevision is what its own calls say of it.
type WatchedRevision struct {
	Revision string         `json:"revision"`
	Estimate watch.Estimate `json:"estimate"`
	Change   *watch.Change  `json:"change,omitempty" doc:"against the revision before it"`
}

// How often functions are looked at, and what of the processors that may take: the
// pause is so many times as long as the look was.
const (
	watchEvery  = time.Minute
	watchSpares = 29
	watchedMost = 50 // functions, those with the most calls
	coldFor     = 2 * time.Minute
)

// watcher looks at ordinary calls. Its state is what the last look found.
type watcher struct {
	mu   sync.Mutex
	last Watched
}

func (w *watcher) state() Watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *watcher) set(v Watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = v
}

// startWatch begins to look; without call logs or a control plane there is nothing.
func (s *System) startWatch() error {
	if s.ch == nil || s.xds == nil {
		return nil
	}
	if err := s.reg.Register(watchMetrics{&s.watched}); err != nil {
		return fmt.Errorf("capacity watch: %w", err)
	}
	s.life.start("capacity watch", s.watch)
	return nil
}

// watch looks until ctx ends. A look that fails is tried again at the next.
func (s *System) watch(ctx context.Context) error {
	pause := watchEvery
	for {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		began := time.Now()
		found, err := s.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		v := Watched{At: time.Now().UTC(), Functions: found}
		if err != nil {
			s.log.Warn("capacity watch", "error", err)
			v = s.watched.state()
			v.Error = err.Error()
		}
		s.watched.set(v)
		pause = max(watchEvery, watchSpares*time.Since(began))
	}
}

// look judges each function by its calls.
func (s *System) look(ctx context.Context) ([]WatchedFunction, error) {
	all, err := s.stretches(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	dealers := s.dealers()
	found := []WatchedFunction{}
	for _, f := range s.registry.Current().Set.Functions {
		if len(all[f.Name]) == 0 {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		found = append(found, judged(f, all[f.Name], dealers))
	}
	return found, nil
}

// judged is one function.
func judged(f *api.Function, all map[string][]watch.Stretch, dealers int) WatchedFunction {
	w := WatchedFunction{Function: f.Name, Revisions: []WatchedRevision{}}
	before := ""
	for _, r := range f.Spec.Revisions {
		calls := warm(all[r.Name])
		if len(calls) == 0 {
			continue
		}
		x := WatchedRevision{Revision: r.Name, Estimate: watch.Of(calls, f.Spec.Objective, dealers, f.Spec.Capacity.Workers, calls[len(calls)-1].Pods)}
		if m := f.Spec.Capacity.Measured; !x.Estimate.Known && m != nil && m.Revision != "" && m.Revision != r.Name {
			x.Estimate = watch.Scaled(x.Estimate, warm(all[m.Revision]), calls, *m, f.Spec.Objective, dealers, calls[len(calls)-1].Pods)
		}
		if before != "" {
			c := watch.Compare(before, warm(all[before]), calls)
			x.Change = &c
		}
		w.Revisions = append(w.Revisions, x)
		before = r.Name
	}
	return w
}

// warm leaves out the first calls, of pods that have just begun.
func warm(all []watch.Stretch) []watch.Stretch {
	if len(all) == 0 {
		return nil
	}
	from := all[0].At.Add(coldFor)
	i := slices.IndexFunc(all, func(s watch.Stretch) bool { return !s.At.Before(from) })
	if i < 0 {
		return nil
	}
	return all[i:]
}

// fitted is a function's latency by load; workers that are declared and do not agree
// with it do not count.
func (s *System) fitted(function string, samples []predict.Sample) (predict.Curve, error) {
	workers := 0
	if f := s.registry.Current().Set.Function(function); f != nil {
		workers = f.Spec.Capacity.Workers
	}
	curve, err := predict.Fit(samples, s.dealers(), workers)
	if errors.Is(err, predict.ErrWorkers) {
		return predict.Fit(samples, s.dealers(), 0)
	}
	return curve, err
}

// stretches are those of ten seconds of the last hours, by function and revision, in
// the order of time. Calls of load tests, and those that no pod answered, say nothing
// of what pods do with ordinary ones.
func (s *System) stretches(ctx context.Context, now time.Time) (map[string]map[string][]watch.Stretch, error) {
	var levels []string
	for _, l := range predict.Levels() {
		levels = append(levels, fmt.Sprint(l))
	}
	from, to := now.Add(-lookBack).Truncate(stretchSeconds*time.Second), now.Add(-2*stretchSeconds*time.Second)
	rows, err := s.ch.Query(ctx, `SELECT c.function, c.revision, c.seconds, c.n, c.bad, c.q, p.pods FROM (
			SELECT function, revision, toUnixTimestamp(t) AS seconds, sum(calls) AS n, sumIf(calls, status >= 500) AS bad,
				quantilesDDMerge(0.01, `+strings.Join(levels, ", ")+`)(duration) AS q
			FROM calls_10s WHERE load_test = 0 AND zone != '' AND t >= toDateTime(?) AND t < toDateTime(?)
				AND function IN (SELECT function FROM calls_10s WHERE load_test = 0 AND function != '' AND t >= toDateTime(?) GROUP BY function ORDER BY sum(calls) DESC LIMIT ?)
			GROUP BY function, revision, t HAVING n >= 20) AS c
		INNER JOIN (SELECT function, revision, toUnixTimestamp(toStartOfInterval(toDateTime(ts), INTERVAL 10 SECOND)) AS seconds, uniqExact(pod) AS pods
			FROM calls WHERE load_test = '' AND pod != '' AND ts >= fromUnixTimestamp64Micro(?) GROUP BY function, revision, seconds) AS p
		ON c.function = p.function AND c.revision = p.revision AND c.seconds = p.seconds
		ORDER BY c.seconds`, from.Unix(), to.Unix(), from.Unix(), watchedMost, from.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read calls by load: %w", err)
	}
	defer rows.Close()
	all := map[string]map[string][]watch.Stretch{}
	for rows.Next() {
		var function, revision string
		var seconds uint32
		var calls, bad, pods uint64
		var us []float64
		if err := rows.Scan(&function, &revision, &seconds, &calls, &bad, &us, &pods); err != nil {
			return nil, fmt.Errorf("read calls by load: %w", err)
		}
		for i := range us {
			us[i] /= 1e6
		}
		x := watch.Stretch{At: time.Unix(int64(seconds), 0).UTC(), Failed: float64(bad)}
		x.Sample = predict.Sample{Rate: float64(calls) / stretchSeconds / float64(pods), Pods: float64(pods), Calls: float64(calls), Quantiles: us}
		if all[function] == nil {
			all[function] = map[string][]watch.Stretch{}
		}
		all[function][revision] = append(all[function][revision], x)
	}
	return all, rows.Err()
}

type watchInput struct {
	Function string `query:"function"`
}

func (s *System) getWatch(_ context.Context, in *watchInput) (*body[Watched], error) {
	v := s.watched.state()
	if in.Function != "" && s.registry.Current().Set.Function(in.Function) == nil {
		return nil, huma.Error404NotFound("there is no function " + in.Function)
	}
	shown := []WatchedFunction{}
	for _, f := range v.Functions {
		if in.Function == "" || f.Function == in.Function {
			shown = append(shown, f)
		}
	}
	slices.SortFunc(shown, func(a, b WatchedFunction) int { return cmp.Compare(a.Function, b.Function) })
	v.Functions = shown
	return reply(v), nil
}

// watchMetrics is a prometheus.Collector of what was found.
type watchMetrics struct{ watcher *watcher }

var (
	safeDesc   = prometheus.NewDesc("kongdao_capacity_safe_rate", "What one pod can take within its objective, requests a second, by ordinary calls: bound low, estimate or high.", []string{"function", "revision", "bound"}, nil)
	slowerDesc = prometheus.NewDesc("kongdao_capacity_release_slowdown", "How many times as long calls take at least as those of the revision before, at the same load, with 99 %.", []string{"function", "revision", "before"}, nil)
)

// Describe implements prometheus.Collector.
func (watchMetrics) Describe(out chan<- *prometheus.Desc) { out <- safeDesc; out <- slowerDesc }

// Collect implements prometheus.Collector.
func (m watchMetrics) Collect(out chan<- prometheus.Metric) {
	for _, f := range m.watcher.state().Functions {
		for _, r := range f.Revisions {
			if e := r.Estimate; e.Known {
				for bound, v := range map[string]float64{"low": e.Low, "estimate": e.Safe, "high": e.High} {
					out <- prometheus.MustNewConstMetric(safeDesc, prometheus.GaugeValue, v, f.Function, r.Revision, bound)
				}
			}
			if c := r.Change; c != nil && c.Known {
				out <- prometheus.MustNewConstMetric(slowerDesc, prometheus.GaugeValue, c.Low, f.Function, r.Revision, c.Before)
			}
		}
	}
}
