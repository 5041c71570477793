package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/drill"
	"github.com/kongdao/kongdao/xds"
)

// maxAfterLoss is how much of the remaining safe rate a drain may use up.
const maxAfterLoss = 0.9

// recent is the stretch of the call log that stands for the traffic of now.
const recent = time.Minute

type zoneInput struct {
	Zone string `path:"zone"`
}

type putZoneInput struct {
	Zone string `path:"zone"`
	Body ZoneShift
}

// ZoneShift changes the share of a zone.
type ZoneShift struct {
	Weight  int  `json:"weight" minimum:"0" maximum:"100" doc:"percent of its even share; 0: drained"`
	Seconds int  `json:"seconds,omitempty" minimum:"0" doc:"after which it is 100 again; 0: it stays"`
	From    *int `json:"from,omitempty" minimum:"0" maximum:"100" doc:"the weight that the zone is believed to have; another one refuses the shift"`
	Force   bool `json:"force,omitempty" doc:"without asking whether the other zones can take it"`
}

func (s *System) putZone(ctx context.Context, in *putZoneInput) (*struct{}, error) {
	if !s.knownZone(in.Zone) {
		return nil, huma.Error404NotFound("there is no zone " + in.Zone)
	}
	current := drill.FullWeight
	if shift, shifted := s.moved.current()[in.Zone]; shifted {
		current = shift.Weight
	}
	if in.Body.Weight < current && !in.Body.Force {
		check, err := s.Precheck(ctx, in.Zone)
		if err != nil {
			return nil, huma.Error503ServiceUnavailable(err.Error())
		}
		if err := check.Err(); err != nil {
			return nil, huma.Error409Conflict(err.Error())
		}
	}
	from := -1
	if in.Body.From != nil {
		from = *in.Body.From
	}
	if err := s.moved.set(in.Zone, from, in.Body.Weight, time.Duration(in.Body.Seconds)*time.Second); errors.As(err, new(movedError)) {
		return nil, huma.Error409Conflict(err.Error())
	} else if err != nil {
		return nil, huma.Error500InternalServerError(err.Error())
	}
	if err := s.xds.WaitLive(ctx); err != nil {
		return nil, huma.Error504GatewayTimeout(err.Error())
	}
	return nil, nil
}

func (s *System) knownZone(name string) bool {
	for _, z := range s.xds.State().Zones {
		if z.Name == name {
			return true
		}
	}
	return false
}

func (s *System) getPrecheck(ctx context.Context, in *zoneInput) (*body[drill.Precheck], error) {
	check, err := s.Precheck(ctx, in.Zone)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return reply(check), nil
}

// Precheck says whether the other zones can take over from this one, by the
// traffic of the last minute and the pods that are ready now.
func (s *System) Precheck(ctx context.Context, zone string) (drill.Precheck, error) {
	qps, err := s.trafficNow(ctx)
	if err != nil {
		return drill.Precheck{}, err
	}
	set := s.registry.Current().Set
	var loads []drill.Load
	for _, f := range s.xds.State().Functions {
		l := drill.Load{Function: f.Name, QPS: qps[f.Name], Pods: s.podsBeside(zone, f)}
		if spec := set.Function(f.Name); spec != nil {
			l.SafeRate = spec.Spec.Capacity.Rate()
		}
		loads = append(loads, l)
	}
	return drill.Check(zone, maxAfterLoss, loads), nil
}

// podsBeside are a function's ready pods by zone, for the loss of one. Those of another
// zone that has a part of its share count as so much: pods that have all of theirs are at
// their safe rate before these are.
func (s *System) podsBeside(zone string, f xds.FunctionState) map[string]int {
	pods := map[string]int{}
	for _, p := range f.Pods {
		pods[p.Zone] += p.Ready
	}
	for z, shift := range s.moved.current() {
		if z != zone && pods[z] > 0 {
			pods[z] = pods[z] * shift.Weight / drill.FullWeight
		}
	}
	return pods
}

// trafficNow is the rate of each function over the last minute, requests a second.
func (s *System) trafficNow(ctx context.Context) (map[string]float64, error) {
	if s.ch == nil {
		return nil, fmt.Errorf("the traffic of now is not known: this process has no ClickHouse")
	}
	rows, err := s.ch.Query(ctx, "SELECT function, sum(sample_weight) FROM calls WHERE load_test = '' AND ts > fromUnixTimestamp64Micro(?) GROUP BY function", time.Now().Add(-recent).UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read recent traffic: %w", err)
	}
	defer rows.Close()
	qps := map[string]float64{}
	for rows.Next() {
		var name string
		var n uint64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, fmt.Errorf("read recent traffic: %w", err)
		}
		qps[name] = float64(n) / recent.Seconds()
	}
	return qps, rows.Err()
}

// CallHealth is how the calls of the last seconds ended.
type CallHealth struct {
	Calls  uint64 `json:"calls"`
	Failed uint64 `json:"failed"` // 5xx
}

func (s *System) getHealth(ctx context.Context, _ *struct{}) (*body[CallHealth], error) {
	var h CallHealth
	err := s.ch.QueryRow(ctx, "SELECT count(), countIf(status >= 500) FROM calls WHERE load_test = '' AND ts > fromUnixTimestamp64Micro(?)", time.Now().Add(-10*time.Second).UnixMicro()).
		Scan(&h.Calls, &h.Failed)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return reply(h), nil
}

// Function is a function in force.
func (s *System) Function(name string) (*api.Function, error) {
	f := s.registry.Current().Set.Function(name)
	if f == nil {
		return nil, fmt.Errorf("there is no function %s", name)
	}
	return f, nil
}
