package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/capacity/drill"
	"github.com/kongdao/kongdao/capacity/predict"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/model"
)

// What a prediction looks back at, and for how many functions: the busiest ones, for
// each takes about a second of a CPU.
const (
	lookBack     = 3 * time.Hour
	predictedMax = 20
)

// peakBack is how far back a peak is looked for that no forecast declares.
const peakBack = 7 * 24 * time.Hour

// loadsNow is what every function has to carry, with its peak, for the loss of a zone.
func (s *System) loadsNow(ctx context.Context, zone string) ([]drill.Load, error) {
	qps, err := s.trafficNow(ctx)
	if err != nil {
		return nil, err
	}
	cut, err := s.refusedNow(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.rising(ctx, qps); err != nil {
		return nil, err
	}
	peaks, err := s.peaksSeen(ctx)
	if err != nil {
		return nil, err
	}
	forecast, err := s.foresee(ctx, s.cfg.Capacity.Horizon.Std(), nil)
	if err != nil {
		return nil, fmt.Errorf("forecast peaks: %w", err)
	}
	set := s.registry.Current().Set
	var loads []drill.Load
	for _, f := range s.xds.State().Functions {
		l := drill.Load{Function: f.Name, QPS: qps[f.Name], Pods: s.podsBeside(zone, f), Limit: f.Limit, Depth: depthOf(f), Cut: cut[f.Name]}
		l.Peak, l.From = peaks[f.Name], "the highest minute of the last 7 days"
		if fc, ok := forecast[f.Name]; ok && fc.err == nil {
			if peak, text := fc.text(s.cfg.Capacity.Risk); peak > l.Peak {
				l.Peak, l.From = peak, text
			}
		}
		if spec := set.Function(f.Name); spec != nil {
			l.SafeRate = spec.Spec.Capacity.Rate()
			if declared := spec.Spec.Capacity.Forecast; declared > l.Peak {
				l.Peak, l.From = declared, "declared as forecastQPS"
			}
		}
		loads = append(loads, l)
	}
	return loads, nil
}

// Traffic of which a minute's mean does not tell yet, because it has begun since: the
// last quarter of a minute that is in the call log for sure.
const (
	freshest = 2 * time.Second
	fresh    = 15 * time.Second
)

// rising raises rates of the last minute, as far as it is in the call log for sure, to
// those of its end where they have risen beyond chance: the higher one of two rates
// would be too high.
func (s *System) rising(ctx context.Context, qps map[string]float64) error {
	until := time.Now().Add(-freshest)
	rows, err := s.ch.Query(ctx, `SELECT function, sum(sample_weight), sumIf(sample_weight, ts > fromUnixTimestamp64Micro(?)) FROM calls WHERE load_test = ''
		AND ts > fromUnixTimestamp64Micro(?) AND ts <= fromUnixTimestamp64Micro(?) GROUP BY function`,
		until.Add(-fresh).UnixMicro(), until.Add(-recent).UnixMicro(), until.UnixMicro())
	if err != nil {
		return fmt.Errorf("read recent traffic: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var all, last uint64
		if err := rows.Scan(&name, &all, &last); err != nil {
			return fmt.Errorf("read recent traffic: %w", err)
		}
		qps[name] = max(qps[name], risen(float64(all), float64(last)))
	}
	return rows.Err()
}

// risen is the rate, requests a second, of so many calls in a minute, the last ones of
// which came at its end.
func risen(all, last float64) float64 {
	usual := all * fresh.Seconds() / recent.Seconds()
	if last > usual+2*math.Sqrt(usual) {
		return last / fresh.Seconds()
	}
	return all / recent.Seconds()
}

// refusedNow is the share of each function's calls that its capacity's limit refused
// in the last minute.
func (s *System) refusedNow(ctx context.Context) (map[string]float64, error) {
	rows, err := s.ch.Query(ctx, `SELECT function, sumIf(sample_weight, limited_by = 'capacity') / sum(sample_weight) FROM calls
		WHERE load_test = '' AND ts > fromUnixTimestamp64Micro(?) GROUP BY function`, time.Now().Add(-recent).UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read recent refusals: %w", err)
	}
	defer rows.Close()
	cut := map[string]float64{}
	for rows.Next() {
		var name string
		var share float64
		if err := rows.Scan(&name, &share); err != nil {
			return nil, fmt.Errorf("read recent refusals: %w", err)
		}
		cut[name] = share
	}
	return cut, rows.Err()
}

// depthOf is how many requests the function's bucket lets through at once.
func depthOf(f xds.FunctionState) float64 {
	for _, t := range model.Tiers() {
		if f.Limit > t.Above {
			return max(1, f.Limit*float64(t.Burst)/model.TokensPerSecond)
		}
	}
	return 1
}

// peaksSeen is the highest minute of each function, requests a second.
func (s *System) peaksSeen(ctx context.Context) (map[string]float64, error) {
	rows, err := s.ch.Query(ctx, `SELECT function, max(n) FROM (SELECT function, t, sum(calls) AS n FROM calls_1m
		WHERE load_test = 0 AND t > toDateTime(?) GROUP BY function, t) GROUP BY function`, time.Now().Add(-peakBack).Unix())
	if err != nil {
		return nil, fmt.Errorf("read peaks: %w", err)
	}
	defer rows.Close()
	peaks := map[string]float64{}
	for rows.Next() {
		var name string
		var n uint64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, fmt.Errorf("read peaks: %w", err)
		}
		peaks[name] = float64(n) / time.Minute.Seconds()
	}
	return peaks, rows.Err()
}

// drillCheck is the pre-check of a drill: now and at the peak.
func (s *System) drillCheck(ctx context.Context, zone string) (drill.Precheck, error) {
	loads, err := s.loadsNow(ctx, zone)
	if err != nil {
		return drill.Precheck{}, err
	}
	return drill.Check(zone, maxAfterLoss, loads), nil
}

// foreseeLoss predicts the loss of a zone, from the latency by load of the last hours.
func (s *System) foreseeLoss(ctx context.Context, zone string) ([]drill.Forecast, error) {
	loads, err := s.loadsNow(ctx, zone)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(loads, func(a, b drill.Load) int { return cmp.Compare(b.QPS, a.QPS) })
	var names []string
	for _, l := range loads {
		if l.Pods[zone] > 0 && l.QPS > 0 && len(names) < predictedMax {
			names = append(names, l.Function)
		}
	}
	samples, err := s.latencyByLoad(ctx, names)
	for i, l := range loads {
		curve, fault := s.fitted(l.Function, samples[l.Function])
		if fault == nil {
			loads[i].Curve = &curve
		} else if !errors.Is(fault, predict.ErrTooFew) {
			err = errors.Join(err, fault)
		}
	}
	return drill.Foresee(zone, loads), err
}

// dealers is how many threads of gateways deal calls out to pods.
func (s *System) dealers() int {
	each := s.cfg.Envoy.Concurrency
	if each == 0 {
		each = runtime.NumCPU()
	}
	return each * max(1, len(s.xds.State().Gateways))
}

// stretch is ten seconds of a function.
type stretch struct {
	function string
	at       uint32 // seconds since 1970
}

const stretchSeconds = 10

// latencyByLoad are the stretches of the last hours in which a function had calls,
// but for the last ones, which are not complete.
func (s *System) latencyByLoad(ctx context.Context, functions []string) (map[string][]predict.Sample, error) {
	pods, err := s.podsByStretch(ctx, functions)
	if err != nil {
		return nil, err
	}
	var levels []string
	for _, l := range predict.Levels() {
		levels = append(levels, fmt.Sprint(l))
	}
	now := time.Now()
	// What was refused or never reached a pod says nothing about pods.
	rows, err := s.ch.Query(ctx, `SELECT function, toUnixTimestamp(t), sum(calls), quantilesDDMerge(0.01, `+strings.Join(levels, ", ")+`)(duration)
		FROM calls_10s WHERE load_test = 0 AND zone != '' AND function IN ? AND t > toDateTime(?) AND t < toDateTime(?)
		GROUP BY function, t HAVING sum(calls) >= 20`, functions, now.Add(-lookBack).Unix(), now.Add(-2*stretchSeconds*time.Second).Unix())
	if err != nil {
		return nil, fmt.Errorf("read latency by load: %w", err)
	}
	defer rows.Close()
	samples := map[string][]predict.Sample{}
	for rows.Next() {
		var at stretch
		var calls uint64
		var us []float64
		if err := rows.Scan(&at.function, &at.at, &calls, &us); err != nil {
			return nil, fmt.Errorf("read latency by load: %w", err)
		}
		if n := float64(pods[at]); n > 0 {
			for i := range us {
				us[i] /= 1e6
			}
			samples[at.function] = append(samples[at.function], predict.Sample{Rate: float64(calls) / stretchSeconds / n, Pods: n, Calls: float64(calls), Quantiles: us})
		}
	}
	return samples, rows.Err()
}

// podsByStretch is how many pods had calls.
func (s *System) podsByStretch(ctx context.Context, functions []string) (map[stretch]uint64, error) {
	rows, err := s.ch.Query(ctx, `SELECT function, toUnixTimestamp(toStartOfInterval(toDateTime(ts), INTERVAL 10 SECOND)) AS t, uniqExact(pod)
		FROM calls WHERE load_test = '' AND pod != '' AND function IN ? AND ts > fromUnixTimestamp64Micro(?) GROUP BY function, t`,
		functions, time.Now().Add(-lookBack).UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read pods by time: %w", err)
	}
	defer rows.Close()
	pods := map[stretch]uint64{}
	for rows.Next() {
		var at stretch
		var n uint64
		if err := rows.Scan(&at.function, &at.at, &n); err != nil {
			return nil, fmt.Errorf("read pods by time: %w", err)
		}
		pods[at] = n
	}
	return pods, rows.Err()
}
