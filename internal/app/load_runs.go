package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/loadtest/report"
)

// LoadRun is a stored run of a stress test, beside what the gateway saw of it.
type LoadRun struct {
	Run      string    `json:"run"`
	Scenario string    `json:"scenario"`
	Function string    `json:"function" doc:"that most of its calls went to; empty: none came through the gateway"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Valid    bool      `json:"valid"`
	OK       bool      `json:"ok" doc:"valid, and every threshold kept"`
	Rate     float64   `json:"achieved_rate"`
	P50      float64   `json:"p50_s"`
	P99      float64   `json:"p99_s"`
	Success  float64   `json:"success"`
	Calls    Measures  `json:"calls" doc:"as the gateway saw them; all 0 for those that it has not stored"`
}

// LoadRunList is the answer to GET /load-runs.
type LoadRunList struct {
	Runs []LoadRun `json:"runs"`
}

// LoadRunDetail is a run with all that was measured.
type LoadRunDetail struct {
	LoadRun
	Result report.Result `json:"result"`
}

// Annotation is what Grafana draws over a time range.
type Annotation struct {
	Time    int64    `json:"time" doc:"milliseconds since 1970"`
	TimeEnd int64    `json:"timeEnd"`
	Title   string   `json:"title"`
	Text    string   `json:"text"`
	Tags    []string `json:"tags"`
}

// maxRun bounds the body of a result: ten minutes by the second take about 1 MB.
const maxRun = 64 << 20

// loadRunRoutes are the runs of stress tests, for operators.
func (s *System) loadRunRoutes(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "post-load-runs", Method: http.MethodPost, Path: "/api/v1/load-runs", Summary: "Post load runs",
		MaxBodyBytes: maxRun, BodyReadTimeout: time.Minute,
	}, s.postLoadRun)
	huma.Get(h, "/api/v1/load-runs", s.getLoadRuns)
	huma.Get(h, "/api/v1/load-runs/annotations", s.getLoadRunAnnotations)
	huma.Get(h, "/api/v1/load-runs/{run}", s.getLoadRun)
}

func (s *System) postLoadRun(ctx context.Context, in *body[report.Result]) (*body[LoadRun], error) {
	r := in.Body
	if r.Run == "" || r.Started.IsZero() {
		return nil, huma.Error422UnprocessableEntity("run and started: must not be empty")
	}
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	row := summaryOf(r)
	if err := s.addCalls(ctx, []LoadRun{row}, func(_ int, v LoadRun) { row = v }); err != nil {
		return nil, answerOf(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	err = s.ch.Exec(ctx, "INSERT INTO load_runs (run, started, ended, scenario, function, result) VALUES (?, fromUnixTimestamp64Micro(?), fromUnixTimestamp64Micro(?), ?, ?, ?)",
		row.Run, row.Started.UnixMicro(), row.Ended.UnixMicro(), row.Scenario, row.Function, string(text))
	if err != nil {
		return nil, answerOf(err)
	}
	return reply(row), nil
}

func summaryOf(r report.Result) LoadRun {
	return LoadRun{
		Run: r.Run, Scenario: r.Scenario, Started: r.Started, Ended: r.Started.Add(time.Duration(r.Seconds * float64(time.Second))),
		Valid: r.Valid, OK: r.OK(), Rate: r.AchievedRate, P50: r.Latency.P50, P99: r.Latency.P99, Success: r.Success(),
	}
}

type loadRunsInput struct {
	Since    time.Time `query:"since" doc:"runs that ended after it; default: 30 days ago"`
	Until    time.Time `query:"until" doc:"runs that began before it; default: now"`
	Scenario string    `query:"scenario"`
	Limit    int       `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"the newest"`
}

func (s *System) getLoadRuns(ctx context.Context, in *loadRunsInput) (*body[LoadRunList], error) {
	details, err := s.readRuns(ctx, `ended > fromUnixTimestamp64Micro({from:Int64}) AND started < fromUnixTimestamp64Micro({to:Int64}) AND ({scenario:String} = '' OR scenario = {scenario:String})`,
		in.Limit, append(in.times(), clickhouse.Named("scenario", in.Scenario))...)
	if err != nil {
		return nil, err
	}
	list := LoadRunList{Runs: make([]LoadRun, len(details))}
	for i, d := range details {
		list.Runs[i] = d.LoadRun
	}
	return reply(list), nil
}

func (in loadRunsInput) times() []any {
	if in.Until.IsZero() {
		in.Until = time.Now().Add(time.Minute) // a clock may be a little ahead
	}
	if in.Since.IsZero() {
		in.Since = in.Until.AddDate(0, 0, -30)
	}
	return []any{clickhouse.Named("from", fmt.Sprint(in.Since.UnixMicro())), clickhouse.Named("to", fmt.Sprint(in.Until.UnixMicro()))}
}

func (s *System) getLoadRun(ctx context.Context, in *struct {
	Run string `path:"run"`
},
) (*body[LoadRunDetail], error) {
	details, err := s.readRuns(ctx, "run = {run:String}", 1, clickhouse.Named("run", in.Run))
	switch {
	case err != nil:
		return nil, err
	case len(details) == 0:
		return nil, huma.Error404NotFound("there is no stored run " + in.Run)
	}
	return reply(details[0]), nil
}

type annotationsInput struct {
	From  int64 `query:"from" doc:"milliseconds since 1970, as Grafana's ${__from}; default: 30 days ago"`
	To    int64 `query:"to" doc:"as Grafana's ${__to}; default: now"`
	Limit int   `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

func (s *System) getLoadRunAnnotations(ctx context.Context, in *annotationsInput) (*body[[]Annotation], error) {
	q := loadRunsInput{Limit: in.Limit}
	if in.From > 0 {
		q.Since = time.UnixMilli(in.From)
	}
	if in.To > 0 {
		q.Until = time.UnixMilli(in.To)
	}
	list, err := s.getLoadRuns(ctx, &q)
	if err != nil {
		return nil, err
	}
	all := []Annotation{}
	for _, r := range list.Body.Runs {
		all = append(all, r.annotation())
	}
	return reply(all), nil
}

func (r LoadRun) annotation() Annotation {
	verdict := "ok"
	switch {
	case !r.Valid:
		verdict = "invalid"
	case !r.OK:
		verdict = "broken"
	}
	return Annotation{
		Time: r.Started.UnixMilli(), TimeEnd: r.Ended.UnixMilli(), Title: "load test " + r.Scenario,
		Text: fmt.Sprintf("%s: %.1f/s, p50 %.1f ms, p99 %.1f ms, success %.3f %%, %s", r.Run, r.Rate, 1000*r.P50, 1000*r.P99, 100*r.Success, verdict),
		Tags: []string{"load-test", verdict},
	}
}

// readRuns are those that the condition holds for, newest first.
func (s *System) readRuns(ctx context.Context, where string, limit int, args ...any) ([]LoadRunDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	rows, err := s.ch.Query(ctx, "SELECT function, result FROM load_runs FINAL WHERE "+where+" ORDER BY started DESC, run LIMIT {limit:UInt32}",
		append(args, clickhouse.Named("limit", fmt.Sprint(limit)))...)
	if err != nil {
		return nil, answerOf(err)
	}
	defer rows.Close()
	var all []LoadRunDetail
	var runs []LoadRun
	for rows.Next() {
		var function, text string
		var d LoadRunDetail
		if err := rows.Scan(&function, &text); err != nil {
			return nil, answerOf(err)
		}
		if err := json.Unmarshal([]byte(text), &d.Result); err != nil {
			return nil, fmt.Errorf("read stored run: %w", err)
		}
		d.LoadRun = summaryOf(d.Result)
		d.Function = function
		all, runs = append(all, d), append(runs, d.LoadRun)
	}
	err = errors.Join(rows.Err(), s.addCalls(ctx, runs, func(i int, v LoadRun) { all[i].LoadRun = v }))
	return all, answerOf(err)
}

// addCalls adds what the gateway saw of each run.
func (s *System) addCalls(ctx context.Context, runs []LoadRun, set func(int, LoadRun)) error {
	if len(runs) == 0 {
		return nil
	}
	names, at := []string{}, map[string]int{}
	from, to := runs[0].Started, runs[0].Ended
	for i, r := range runs {
		names, at[r.Run] = append(names, r.Run), i
		if r.Started.Before(from) {
			from = r.Started
		}
		if r.Ended.After(to) {
			to = r.Ended
		}
	}
	rows, err := s.ch.Query(ctx, `SELECT load_test, topKWeighted(1)(function, toUInt64(c.sample_weight))[1] AS function, `+singleCalls.measures()+`
FROM calls AS c
WHERE c.load_test IN (?) AND c.ts >= fromUnixTimestamp64Micro(?) AND c.ts <= fromUnixTimestamp64Micro(?)
GROUP BY load_test`, names, from.Add(-time.Minute).UnixMicro(), to.Add(time.Minute).UnixMicro())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seen struct {
			measured
			Run      string `ch:"load_test"`
			Function string `ch:"function"`
		}
		if err := rows.ScanStruct(&seen); err != nil {
			return err
		}
		i, known := at[seen.Run]
		if !known {
			continue
		}
		r := runs[i]
		r.Calls = seen.measures()
		if seen.Function != "" {
			r.Function = seen.Function
		}
		set(i, r)
	}
	return rows.Err()
}
