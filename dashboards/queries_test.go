package dashboards

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// The seeded calls lie in the first ten of the twenty minutes that are looked at.
const (
	looked = 20 * time.Minute
	called = 10 * time.Minute
	bucket = time.Minute
)

// store is a ClickHouse with seeded calls, and the calls. It is read by a user
// who may do nothing else, as Grafana's.
type store struct {
	*clickhouse.Client
	from  time.Time
	calls []calllog.Record
}

func seeded(t *testing.T) *store {
	t.Helper()
	ctx := context.Background()
	engine := embeddedtest.Start(t)
	if _, err := schema.Migrate(ctx, engine.Options()); err != nil {
		t.Fatal(err)
	}
	from := time.Now().Truncate(time.Minute).Add(-2 * looked)
	s := &store{Client: open(t, engine.AnalystOptions()), from: from, calls: seed(from)}
	block := calllog.NewBlock()
	for _, r := range s.calls {
		block.Append(&r)
	}
	insert(t, engine.Options(), block)
	s.account(t, open(t, engine.Options()))
	return s
}

// insert stores block.
func insert(t *testing.T, o clickhouse.Options, block *calllog.Block) {
	t.Helper()
	data, err := block.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, c := range calllog.Columns() {
		columns = append(columns, c.Name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	i := clickhouse.NewInserter(o, calllog.Revision)
	if err := errors.Join(i.Insert(ctx, clickhouse.Insert{Table: "calls", Columns: columns, Block: data}), i.Close()); err != nil {
		t.Fatal(err)
	}
}

// account stores ten minutes of a gateway that lost 1 % of its calls in one of
// them; each minute was looked at twice, and what is told first is wrong.
func (s *store) account(t *testing.T, c *clickhouse.Client) {
	t.Helper()
	for version := range 2 {
		for minute := range 10 {
			lost := 0
			if minute == 3 || version == 0 {
				lost = 10
			}
			at := s.from.Add(time.Duration(minute) * time.Minute)
			err := c.Exec(context.Background(), `INSERT INTO completeness (minute, gateway, gateway_zone, since, until, counted, received, lost, rows, stored, settled, version)
VALUES (?, 'gw-1', 'zb-a', ?, ?, 1000, ?, ?, ?, ?, true, ?)`, at, at, at.Add(time.Minute), 1000-lost, lost, 1000-lost, 1000-lost, version)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// annotations mark when the load test ran, by its first and last call.
func (s *store) annotations(t *testing.T) {
	for _, d := range []string{"Gateway overview", "Function detail"} {
		rows := s.run(t, find(t, d, "annotation Load tests"), s.setting("function", "feed"))
		if len(rows) != 1 || rows[0]["title"] != "load test run-1" || rows[0]["text"] != "300 calls of feed" || rows[0]["tags"] != "load-test" {
			t.Fatalf("%s: %v", d, rows)
		}
		from, to := rows[0]["time"].(time.Time), rows[0]["timeEnd"].(time.Time)
		if !from.Equal(s.from) || to.Sub(from) != 598*time.Second {
			t.Errorf("%s: from %v to %v", d, from, to)
		}
	}
}

func (s *store) completeness(t *testing.T) {
	rows := s.run(t, find(t, "Gateway overview", "Completeness by gateway"), s.setting())
	if len(rows) != 1 || rows[0]["calls"] != 10_000.0 || rows[0]["lost"] != 10.0 {
		t.Fatalf("%v, want 10 of 10000 calls lost", rows)
	}
	near(t, "missing", rows[0]["missing_share"], 0.001, 1e-9)
	worst := 0.0
	for _, r := range s.run(t, find(t, "Gateway overview", "Missing calls"), s.setting()) {
		if v, ok := r["value"].(float64); ok {
			worst = max(worst, v)
		}
	}
	near(t, "missing in the worst minute", worst, 0.01, 1e-9)
}

func open(t *testing.T, o clickhouse.Options) *clickhouse.Client {
	t.Helper()
	c, err := clickhouse.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// seed is 10 minutes of calls: feed in two revisions on two pods, one call a
// second; some of them refused, some left by clients; a sampled function, one
// with a quote in its name, calls without a route, and a load test.
func seed(from time.Time) []calllog.Record {
	var all []calllog.Record
	add := func(second int, function, revision, zone, pod string, status uint16, us uint32, more func(*calllog.Record)) {
		var r calllog.Record
		r.Reset()
		r.Time = from.Add(time.Duration(second) * time.Second).UnixMicro()
		r.RequestID, r.TraceID = [16]byte{1, byte(len(all) >> 8), byte(len(all))}, [16]byte{7, byte(len(all))}
		r.Gateway, r.Tenant, r.Function, r.Revision = "gw-1", []byte("shop"), []byte(function), []byte(revision)
		r.Zone, r.Pod, r.Method, r.Path = []byte(zone), []byte(pod), []byte("GET"), []byte("/"+function)
		r.Status, r.DurationUS, r.UpstreamUS, r.Attempts = status, us, us/2, 1
		r.BytesIn, r.BytesOut = 10, 100
		r.ClientIP = [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 9}
		if more != nil {
			more(&r)
		}
		all = append(all, r)
	}
	flags := func(f string) func(*calllog.Record) {
		return func(r *calllog.Record) { r.Flags = []byte(f); r.Finish(nil, nil) }
	}
	for i := range int(called.Seconds()) {
		us := uint32(1000 * (1 + i%100))
		switch {
		case i%60 == 30:
			add(i, "feed", "r1", "zb-a", "10.0.0.1:80", 503, us, flags("UF,URX"))
		case i%2 == 0:
			add(i, "feed", "r1", "zb-a", "10.0.0.1:80", 200, us, nil)
		default:
			add(i, "feed", "r2", "zb-b", "10.0.0.2:80", 200, us, nil)
		}
		if i%5 == 0 {
			add(i, "feed", "", "", "", 429, 50, flags("RL"))
		}
		if i%20 == 0 {
			add(i, "feed", "r1", "", "", 503, 60, flags("UO"))
			add(i, "pay", "r9", "zb-c", "10.0.0.3:80", 200, 7000, func(r *calllog.Record) { r.SampleWeight = 10 })
		}
		if i%100 == 0 {
			add(i, "feed", "r1", "zb-a", "10.0.0.1:80", 0, 900, flags("DC"))
			add(i, "it's", "r1", "zb-a", "10.0.0.4:80", 200, 100, nil)
			add(i, "", "", "", "", 404, 40, flags("NR"))
		}
		if i%2 == 0 {
			add(i, "feed", "r1", "zb-a", "10.0.0.1:80", 200, 5_000_000, func(r *calllog.Record) { r.LoadTest = []byte("run-1") })
		}
	}
	return all
}

// count is how many calls of are stand for; of decides.
func (s *store) count(of func(r *calllog.Record) bool) float64 {
	var n float64
	for i := range s.calls {
		if r := &s.calls[i]; of(r) {
			n += float64(r.SampleWeight)
		}
	}
	return n
}

// quantile is the exact one, in seconds, of calls that are no load test's.
func (s *store) quantile(q float64, function string) float64 {
	var us []uint32
	for _, r := range s.calls {
		if len(r.LoadTest) == 0 && (function == "" || string(r.Function) == function) {
			us = append(us, r.DurationUS)
		}
	}
	slices.Sort(us)
	return float64(us[int(q*float64(len(us)-1))]) / 1e6
}

func real(r *calllog.Record) bool { return len(r.LoadTest) == 0 }

// setting is what Grafana would expand with; chosen are name, value pairs.
func (s *store) setting(chosen ...string) Setting {
	set := Setting{
		From: s.from, To: s.from.Add(looked), Interval: bucket,
		Variables: map[string]Value{
			"rollup": {Chosen: []string{"calls_10s"}}, "step": {Chosen: []string{"10"}},
			"function": {All: true}, "revision": {All: true}, "zone": {All: true}, "limit": {Chosen: []string{"300"}},
		},
	}
	for i := 0; i < len(chosen); i += 2 {
		set.Variables[chosen[i]] = Value{Chosen: []string{chosen[i+1]}}
	}
	return set
}

// row is a row by names of its columns; numbers are float64, times time.Time,
// the rest is text. NULL is nil.
type row map[string]any

func (s *store) run(t *testing.T, p Panel, set Setting) []row {
	t.Helper()
	sql, err := Expand(p.Query.SQL, set)
	if err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	rows, err := s.Query(context.Background(), sql)
	if err != nil {
		t.Fatalf("%s: %v\n%s", p, err, sql)
	}
	defer rows.Close()
	var all []row
	for rows.Next() {
		values := make([]any, len(rows.Columns()))
		for i, c := range rows.ColumnTypes() {
			values[i] = reflect.New(c.ScanType()).Interface()
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		r := row{}
		for i, name := range rows.Columns() {
			r[name] = plain(reflect.ValueOf(values[i]).Elem())
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v\n%s", p, err, sql)
	}
	return all
}

func plain(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch {
	case v.CanFloat():
		return v.Float()
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	}
	if at, ok := v.Interface().(time.Time); ok {
		return at
	}
	return fmt.Sprint(v.Interface())
}

// find is the query of a panel, or of a variable when title begins with a dollar sign.
func find(t *testing.T, dashboard, title string) Panel {
	t.Helper()
	for _, d := range built(t) {
		for _, q := range d.Queries() {
			if d.Title == dashboard && (q.Variable == "" && q.Title == title || "$"+q.Variable == title) {
				return q
			}
		}
	}
	t.Fatalf("%s has no panel %s", dashboard, title)
	return Panel{}
}

func TestQueries(t *testing.T) {
	s := seeded(t)
	t.Run("every one runs and has rows", s.everyQuery)
	t.Run("figures", s.figures)
	t.Run("outcomes add up", s.outcomes)
	t.Run("lines for each", s.linesForEach)
	t.Run("tables", s.tables)
	t.Run("calls", s.latest)
	t.Run("filters", s.filters)
	t.Run("variables", s.variables)
	t.Run("edges of time", s.edges)
	t.Run("completeness", s.completeness)
	t.Run("annotations", s.annotations)
	t.Run("tried at once", s.tried)
}

func (s *store) everyQuery(t *testing.T) {
	for _, d := range built(t) {
		for _, q := range d.Queries() {
			set := s.setting("function", "feed")
			rows := s.run(t, q, set)
			if len(rows) == 0 {
				t.Errorf("%s: no rows", q)
				continue
			}
			checkShape(t, q, rows)
			for _, other := range [][2]string{{"calls_1m", "60"}, {"calls_1h", "3600"}} {
				set.Variables["rollup"], set.Variables["step"] = Value{Chosen: other[:1]}, Value{Chosen: other[1:]}
				s.run(t, q, set)
			}
		}
	}
}

// checkShape: what the plugin and the panels need of the columns.
func checkShape(t *testing.T, q Panel, rows []row) {
	t.Helper()
	need := map[Format][]string{TimeSeries: {"time"}, Logs: {"timestamp", "body", "level"}}[q.Query.Format]
	for _, column := range need {
		if _, ok := rows[0][column]; !ok {
			t.Errorf("%s: no column %s", q, column)
		}
	}
	if q.Query.Format != TimeSeries {
		return
	}
	var last time.Time
	for _, r := range rows {
		at, ok := r["time"].(time.Time)
		if !ok || at.Before(last) {
			t.Fatalf("%s: times do not ascend: %v after %v", q, r["time"], last)
		}
		last = at
		for name, v := range r {
			if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0) || f < 0) {
				t.Fatalf("%s: %s is %v at %v", q, name, f, at)
			}
		}
	}
}

func near(t *testing.T, what string, got any, want, tolerance float64) {
	t.Helper()
	f, ok := got.(float64)
	if !ok || math.Abs(f-want) > tolerance*math.Abs(want)+1e-12 {
		t.Errorf("%s: got %v, want %v within %v", what, got, want, tolerance)
	}
}

func (s *store) figures(t *testing.T) {
	feed := func(r *calllog.Record) bool { return real(r) && string(r.Function) == "feed" }
	for _, c := range []struct {
		title     string
		want      float64
		tolerance float64
	}{
		{"Calls", s.count(feed) / looked.Seconds(), 1e-9},
		{"Errors", s.count(func(r *calllog.Record) bool { return feed(r) && r.Status >= 500 }) / s.count(feed), 1e-9},
		{"Refused by limits", s.count(func(r *calllog.Record) bool { return feed(r) && r.LimitedBy != "" }) / s.count(feed), 1e-9},
		{"Latency, half of calls", s.quantile(0.5, "feed"), 0.011},
		{"Latency, 99 % of calls", s.quantile(0.99, "feed"), 0.011},
		{"Bodies", 110 * s.count(feed), 1e-9},
	} {
		rows := s.run(t, find(t, "Function detail", c.title), s.setting("function", "feed"))
		near(t, c.title, rows[0]["value"], c.want, c.tolerance)
	}
	rows := s.run(t, find(t, "Gateway overview", "Calls"), s.setting())
	near(t, "all calls", rows[0]["value"], s.count(real)/looked.Seconds(), 1e-9)
	rows = s.run(t, find(t, "Gateway overview", "Load tests"), s.setting())
	near(t, "load tests", rows[0]["value"], s.count(func(r *calllog.Record) bool { return !real(r) })/looked.Seconds(), 1e-9)
	rows = s.run(t, find(t, "Gateway overview", "Latency, half of calls"), s.setting("function", "nobody"))
	if rows[0]["value"] != nil {
		t.Errorf("latency of no calls is %v, want NULL", rows[0]["value"])
	}
}

func (s *store) outcomes(t *testing.T) {
	rows := s.run(t, find(t, "Gateway overview", "Calls by outcome"), s.setting())
	if want := int(looked / bucket); len(rows) != want {
		t.Fatalf("%d buckets, want %d: those without calls, too", len(rows), want)
	}
	sums := map[string]float64{}
	for _, r := range rows {
		for _, name := range []string{"answered", "refused", "failed", "client left"} {
			sums[name] += r[name].(float64) * bucket.Seconds()
			if at := r["time"].(time.Time); !at.Before(s.from.Add(called)) && r[name] != 0.0 {
				t.Errorf("%s is %v at %v, where nobody calls", name, r[name], at)
			}
		}
	}
	refused := func(r *calllog.Record) bool { return real(r) && r.LimitedBy != "" }
	near(t, "refused", sums["refused"], s.count(refused), 1e-9)
	near(t, "failed", sums["failed"], s.count(func(r *calllog.Record) bool { return real(r) && r.Status >= 500 && r.LimitedBy == "" }), 1e-9)
	near(t, "client left", sums["client left"], s.count(func(r *calllog.Record) bool { return real(r) && r.Status == 0 }), 1e-9)
	near(t, "all", sums["answered"]+sums["refused"]+sums["failed"]+sums["client left"], s.count(real), 1e-9)

	rows = s.run(t, find(t, "Gateway overview", "Latency"), s.setting())
	if last := rows[len(rows)-1]; last["p99"] != nil {
		t.Errorf("p99 where nobody calls is %v, want a gap", last["p99"])
	}
}

// totals adds up calls a second over time, by label.
func totals(rows []row, label string) map[string]float64 {
	sums := map[string]float64{}
	for _, r := range rows {
		sums[r[label].(string)] += r["value"].(float64) * bucket.Seconds()
	}
	for name, sum := range sums {
		sums[name] = math.Round(sum*1000) / 1000
	}
	return sums
}

func (s *store) linesForEach(t *testing.T) {
	by := func(of func(r *calllog.Record) string) map[string]float64 {
		sums := map[string]float64{}
		for i := range s.calls {
			if r := &s.calls[i]; real(r) && string(r.Function) == "feed" {
				if name := of(r); name != "" {
					sums[name] += float64(r.SampleWeight)
				}
			}
		}
		return sums
	}
	or := func(name []byte, otherwise string) string {
		if len(name) == 0 {
			return otherwise
		}
		return string(name)
	}
	for _, c := range []struct {
		title, label string
		of           func(r *calllog.Record) string
	}{
		{"Calls by revision", "revision_name", func(r *calllog.Record) string { return or(r.Revision, "none") }},
		{"Calls by zone", "zone_name", func(r *calllog.Record) string { return or(r.Zone, "gateway") }},
		{"Calls by pod", "pod_name", func(r *calllog.Record) string { return string(r.Pod) }},
		{"Refusals by limit", "limited", func(r *calllog.Record) string { return r.LimitedBy }},
		{"Calls by status", "code", func(r *calllog.Record) string {
			if r.Status == 0 {
				return "none"
			}
			return fmt.Sprint(r.Status)
		}},
	} {
		rows := s.run(t, find(t, "Function detail", c.title), s.setting("function", "feed"))
		want := by(c.of)
		if diff := cmp.Diff(want, totals(rows, c.label)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.title, diff)
		}
		if wantRows := len(want) * int(looked/bucket); len(rows) != wantRows {
			t.Errorf("%s: %d rows, want %d: every line in every bucket", c.title, len(rows), wantRows)
		}
	}
	rows := s.run(t, find(t, "Function detail", "Calls by pod"), s.setting("function", "pay"))
	if diff := cmp.Diff(map[string]float64{"10.0.0.3:80": 300}, totals(rows, "pod_name")); diff != "" {
		t.Errorf("each row of the sampled function stands for ten calls (-want +got):\n%s", diff)
	}
	rows = s.run(t, find(t, "Gateway overview", "Calls by response flags"), s.setting())
	want := map[string]float64{"UF,URX": 10, "RL": 120, "UO": 30, "DC": 6, "NR": 6}
	if diff := cmp.Diff(want, totals(rows, "flag_names")); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func (s *store) tables(t *testing.T) {
	rows := s.run(t, find(t, "Gateway overview", "Functions with most calls"), s.setting())
	var order []string
	for _, r := range rows {
		order = append(order, r["function_name"].(string))
	}
	if diff := cmp.Diff([]string{"feed", "pay", "it's"}, order); diff != "" {
		t.Fatalf("functions (-want +got):\n%s", diff)
	}
	near(t, "calls of the sampled function", rows[1]["calls"], 300, 0)
	near(t, "p99 of the sampled function", rows[1]["p99"], 0.007, 0.01)
	near(t, "p99 of feed", rows[0]["p99"], s.quantile(0.99, "feed"), 0.011)

	rows = s.run(t, find(t, "Gateway overview", "Load test runs"), s.setting())
	if len(rows) != 1 || rows[0]["run"] != "run-1" || rows[0]["a_function"] != "feed" {
		t.Fatalf("runs: %v", rows)
	}
	near(t, "calls of the run", rows[0]["calls"], 300, 0)
	near(t, "p99 of the run", rows[0]["p99"], 5, 0.01)

	rows = s.run(t, find(t, "Gateway overview", "Response flags by gateway"), s.setting())
	meanings := map[string]any{}
	for _, r := range rows {
		meanings[r["flag_names"].(string)] = r["meaning"]
	}
	if meanings["UF,URX"] != "no connection to a pod; retries used up" {
		t.Errorf("meanings: %v", meanings)
	}
}

func (s *store) latest(t *testing.T) {
	rows := s.run(t, find(t, "Function detail", "Slowest calls"), s.setting("function", "feed"))
	if len(rows) != 50 {
		t.Fatalf("%d slowest calls, want 50", len(rows))
	}
	near(t, "slowest", rows[0]["duration"], 0.1, 0)
	near(t, "its time at the pod", rows[0]["upstream"], 0.05, 0)
	if id := rows[0]["trace"].(string); len(id) != 32 || !strings.HasPrefix(id, "07") {
		t.Errorf("trace id %q", id)
	}
	rows = s.run(t, find(t, "Function detail", "Latest calls"), s.setting("function", "it's"))
	if len(rows) != 6 || rows[0]["body"] != "200 GET /it's 0.1 ms" || rows[0]["level"] != "info" || rows[0]["client"] != "10.0.0.9" {
		t.Errorf("latest calls: %d, %v", len(rows), rows[0])
	}
	rows = s.run(t, find(t, "Function detail", "Latest calls"), s.setting("function", "feed"))
	for _, r := range rows {
		if r["timestamp"].(time.Time).After(rows[0]["timestamp"].(time.Time)) {
			t.Errorf("not the newest first")
		}
	}
}

func (s *store) filters(t *testing.T) {
	rows := s.run(t, find(t, "Gateway overview", "Calls by zone"), s.setting("zone", "zb-b"))
	if diff := cmp.Diff(map[string]float64{"zb-b": 300}, totals(rows, "zone_name")); diff != "" {
		t.Errorf("zone zb-b (-want +got):\n%s", diff)
	}
	set := s.setting()
	set.Variables["revision"] = Value{Chosen: []string{"r2", "r9"}}
	rows = s.run(t, find(t, "Gateway overview", "Calls by zone"), set)
	if diff := cmp.Diff(map[string]float64{"zb-b": 300, "zb-c": 300}, totals(rows, "zone_name")); diff != "" {
		t.Errorf("revisions r2 and r9 (-want +got):\n%s", diff)
	}
	limit := find(t, "Function detail", "Calls by pod")
	limit.Query.SQL = limitQuery
	if rows := s.run(t, limit, s.setting("limit", "")); len(rows) != 0 {
		t.Errorf("no limit draws %v", rows)
	}
	rows = s.run(t, limit, s.setting())
	if len(rows) != 2 || rows[0]["limit"] != 300.0 {
		t.Errorf("the limit 300 draws %v", rows)
	}
}

func (s *store) variables(t *testing.T) {
	list := func(dashboard, name string, set Setting) (values []string) {
		for _, r := range s.run(t, find(t, dashboard, "$"+name), set) {
			for _, v := range r {
				values = append(values, fmt.Sprint(v))
			}
		}
		return values
	}
	for _, c := range []struct {
		dashboard, name string
		set             Setting
		want            []string
	}{
		{"Gateway overview", "function", s.setting(), []string{"feed", "it's", "pay"}},
		{"Gateway overview", "revision", s.setting(), []string{"r1", "r2", "r9"}},
		{"Gateway overview", "zone", s.setting(), []string{"zb-a", "zb-b", "zb-c"}},
		{"Function detail", "revision", s.setting("function", "feed"), []string{"r1", "r2"}},
		{"Function detail", "zone", s.setting("function", "pay"), []string{"zb-c"}},
		{"Function detail", "step", s.setting("rollup", "calls_1m"), []string{"60"}},
		{"Function detail", "step", s.setting("rollup", "calls_1h"), []string{"3600"}},
	} {
		if diff := cmp.Diff(c.want, list(c.dashboard, c.name, c.set)); diff != "" {
			t.Errorf("%s/$%s (-want +got):\n%s", c.dashboard, c.name, diff)
		}
	}
	for want, set := range map[string]Setting{
		"calls_10s": {From: time.Now().Add(-6 * time.Hour), To: time.Now()},
		"calls_1m":  {From: time.Now().Add(-10 * 24 * time.Hour), To: time.Now().Add(-10*24*time.Hour + time.Hour)},
		"calls_1h":  {From: time.Now().Add(-30 * 24 * time.Hour), To: time.Now()},
	} {
		if got := list("Gateway overview", "rollup", set); !slices.Equal(got, []string{want}) {
			t.Errorf("rollup for %v is %v, want %s", set.To.Sub(set.From), got, want)
		}
	}
}

// edges: no partial bucket at either end, whatever the time range and the width.
func (s *store) edges(t *testing.T) {
	q := find(t, "Function detail", "Calls by pod")
	for _, interval := range []time.Duration{time.Second, 7 * time.Second, 15 * time.Second, 50 * time.Second} {
		set := s.setting("function", "feed", "zone", "zb-b")
		set.From, set.To, set.Interval = s.from.Add(63*time.Second), s.from.Add(447*time.Second), interval
		rows := s.run(t, q, set)
		for _, r := range rows {
			near(t, fmt.Sprintf("calls a second every %v at %v", interval, r["time"]), r["value"], 0.5, 1e-9)
		}
		if len(rows) == 0 {
			t.Errorf("interval %v: no rows", interval)
		}
	}
	s.longRange(t)
	set := s.setting("function", "feed")
	set.From, set.To = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	if rows := s.run(t, q, set); len(rows) != 0 {
		t.Errorf("the future has %d rows", len(rows))
	}
}

func (s *store) tried(t *testing.T) {
	all := built(t)
	problems, err := Try(context.Background(), s.Client, all)
	if err != nil || len(problems) != 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
	q := query("A", Table, "SELECT nothing FROM calls")
	all[0].panels()[0].Targets[0] = q
	problems, err = Try(context.Background(), s.Client, all)
	if err != nil || len(problems) != 1 || !strings.HasPrefix(problems[0], "Gateway overview/Calls/A: ") {
		t.Errorf("problems %v, error %v, want one about the first panel", problems, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Try(ctx, s.Client, all); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// longRange: buckets of hours and days lie on the grid that gaps are filled on,
// so that none is double and no call is lost between them.
func (s *store) longRange(t *testing.T) {
	q := find(t, "Function detail", "Calls by outcome")
	for _, interval := range []time.Duration{time.Hour, 100 * time.Minute, 7 * time.Hour, 30 * time.Hour} {
		set := s.setting("function", "pay", "rollup", "calls_1h", "step", "3600")
		set.From, set.To, set.Interval = s.from.Add(-20*24*time.Hour), time.Now(), interval
		size := (interval + time.Hour - 1).Truncate(time.Hour)
		end := time.Unix(0, 0).Add(set.To.Sub(time.Unix(0, 0)).Truncate(size))
		var sum, want float64
		for i, r := range s.run(t, q, set) {
			sum += r["answered"].(float64) * size.Seconds()
			first := time.Unix(0, 0).Add(set.From.Sub(time.Unix(0, 0)).Truncate(size))
			if at := first.Add(time.Duration(i) * size); !at.Equal(r["time"].(time.Time)) {
				t.Fatalf("interval %v: row %d is of %v, want %v", interval, i, r["time"], at)
			}
		}
		want = s.count(func(r *calllog.Record) bool {
			return string(r.Function) == "pay" && time.UnixMicro(r.Time).Truncate(time.Hour).Before(end)
		})
		near(t, fmt.Sprintf("calls every %v", interval), sum, want, 1e-9)
	}
}
