package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kongdao/kongdao/capacity/drill"
)

// settled is how long a call may take from its end until it is durable.
const settled = 1500 * time.Millisecond

// observe reads from the call log what a drill did.
func (d *drills) observe(ctx context.Context, r drill.Record) (seen drill.Seen, err error) {
	if err := d.allStored(ctx); err != nil {
		return seen, err
	}
	s := d.system
	moved, ended := r.Moved.UnixMicro(), r.Ended.UnixMicro()
	if r.Ended.IsZero() {
		ended = time.Now().UnixMicro()
	}
	var last time.Time
	var inZone uint64
	err = s.ch.QueryRow(ctx, `SELECT sum(sample_weight), sumIf(sample_weight, status >= 500),
		sumIf(sample_weight, status >= 500 AND method IN ('GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE')) FROM calls
		WHERE load_test = '' AND ts >= fromUnixTimestamp64Micro(?) AND ts <= fromUnixTimestamp64Micro(?)`, moved, ended).
		Scan(&seen.Calls, &seen.Failed, &seen.FailedIdempotent)
	if err != nil {
		return seen, fmt.Errorf("read calls: %w", err)
	}
	until := r.Returned
	if until.IsZero() {
		until = time.Now()
	}
	err = s.ch.QueryRow(ctx, `SELECT count(), max(ts) FROM calls WHERE load_test = '' AND zone = ?
		AND ts >= fromUnixTimestamp64Micro(?) AND ts < fromUnixTimestamp64Micro(?)`, r.Zone, moved, until.UnixMicro()).Scan(&inZone, &last)
	if err != nil {
		return seen, fmt.Errorf("read calls of the zone: %w", err)
	}
	if seen.EmptySeconds = -1; inZone > 0 {
		seen.EmptySeconds = last.Sub(r.Moved).Seconds()
	}
	seen.Functions, err = d.functionsSeen(ctx, r, until)
	return seen, err
}

// allStored waits until what callers saw up to now is in ClickHouse.
func (d *drills) allStored(ctx context.Context) error {
	t := time.NewTimer(settled)
	defer t.Stop()
	select {
	case <-t.C:
	case <-d.closing:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.system.collector != nil {
		return d.system.collector.WaitStored(ctx)
	}
	return nil
}

// functionsSeen is what callers saw while the zone was empty.
func (d *drills) functionsSeen(ctx context.Context, r drill.Record, until time.Time) ([]drill.SeenFunction, error) {
	from := r.Emptied.Add(time.Second) // the last ones that were under way
	if r.Emptied.IsZero() || !from.Before(until) {
		return []drill.SeenFunction{}, nil
	}
	length := until.Sub(from).Seconds()
	rows, err := d.system.ch.Query(ctx, `SELECT function, zone, sum(sample_weight), sumIf(sample_weight, limited_by != ''), sumIf(sample_weight, status >= 500),
		quantileExactWeightedIf(0.99)(duration_us, sample_weight, limited_by = '') FROM calls
		WHERE load_test = '' AND function != '' AND ts >= fromUnixTimestamp64Micro(?) AND ts < fromUnixTimestamp64Micro(?)
		GROUP BY GROUPING SETS ((function), (function, zone)) ORDER BY function, grouping(zone) DESC, zone`, from.UnixMicro(), until.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read calls by function: %w", err)
	}
	defer rows.Close()
	all := []drill.SeenFunction{}
	for rows.Next() {
		var name, zone string
		var n, refused, failed uint64
		var p99 uint32
		if err := rows.Scan(&name, &zone, &n, &refused, &failed, &p99); err != nil {
			return nil, fmt.Errorf("read calls by function: %w", err)
		}
		took := time.Duration(p99) * time.Microsecond
		if len(all) == 0 || all[len(all)-1].Function != name {
			all = append(all, drill.SeenFunction{
				Function: name, QPS: float64(n) / length, Refused: float64(refused) / float64(n), Failed: float64(failed) / float64(n), P99: took,
			})
			continue
		}
		if zone != "" {
			f := &all[len(all)-1]
			f.Zones = append(f.Zones, drill.SeenZone{Zone: zone, QPS: float64(n) / length, P99: took})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return all, d.before(ctx, r, all)
}

// before adds the p99 of the minute before the drill.
func (d *drills) before(ctx context.Context, r drill.Record, all []drill.SeenFunction) error {
	rows, err := d.system.ch.Query(ctx, `SELECT function, quantileExactWeighted(0.99)(duration_us, sample_weight) FROM calls
		WHERE load_test = '' AND limited_by = '' AND ts >= fromUnixTimestamp64Micro(?) AND ts < fromUnixTimestamp64Micro(?) GROUP BY function`,
		r.Moved.Add(-time.Minute).UnixMicro(), r.Moved.UnixMicro())
	if err != nil {
		return fmt.Errorf("read calls of before: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var p99 uint32
		if err := rows.Scan(&name, &p99); err != nil {
			return fmt.Errorf("read calls of before: %w", err)
		}
		for i := range all {
			if all[i].Function == name {
				all[i].Before = time.Duration(p99) * time.Microsecond
			}
		}
	}
	return rows.Err()
}

// firing are the alerts that fire, as Prometheus' API has them, but for those that
// say that nothing is wrong.
func (s *System) firing(ctx context.Context) ([]drill.Alert, error) {
	address := s.Addresses().Prometheus
	if address == "" {
		return nil, errors.New("this process does not alert")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/v1/alerts", nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // the context bounds it
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for alerts: %w", err)
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string            `json:"state"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("ask for alerts: %w", err)
	}
	var all []drill.Alert
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" && a.Labels["severity"] != "none" {
			all = append(all, drill.Alert{Name: a.Labels["alertname"], Labels: a.Labels})
		}
	}
	return all, nil
}
