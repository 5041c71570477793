package app

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// asked is a System with a ClickHouse that has tables, and nothing else.
func asked(t *testing.T) (*System, context.Context) {
	t.Helper()
	engine := embeddedtest.Start(t)
	questions, err := newQuestions(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &System{engine: engine, chOptions: engine.Options(), questions: questions}
	if _, err := schema.Migrate(t.Context(), s.chOptions); err != nil {
		t.Fatal(err)
	}
	if s.ch, err = clickhouse.Open(t.Context(), s.chOptions); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.ch.Close() })
	s.readers = s.newReaders()
	return s, context.WithValue(t.Context(), readerKey{}, &s.readers.operator)
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomRecord has few values in each field, so that filters meet them.
func randomRecord(r *rand.Rand, at time.Time) calllog.Record {
	b := func(s string) []byte { return []byte(s) }
	rec := calllog.Record{
		Time: at.UnixMicro(), Gateway: pick(r, "gw-1", "gw-2"), GatewayZone: pick(r, "zb-a", ""),
		Tenant: b(pick(r, "recommend", "rail", "rail")), Function: b(pick(r, "feed", "tour", "")), Revision: b(pick(r, "r1", "r2", "")),
		Zone: b(pick(r, "zb-a", "zb-b", "")), Pod: b(pick(r, "10.0.0.1:80", "10.0.0.2:80", "")),
		Method: b(pick(r, "GET", "POST", "BREW")), Host: b(pick(r, "api.example.com", "a'b\\c\td")),
		Path:   b(pick(r, "/feed", "/feed/x?q=1", "/tour/%E4%B8%AD", "/tour\xff\xfe'\\", "")),
		Status: pick[uint16](r, 0, 200, 200, 204, 302, 404, 429, 499, 500, 503), Flags: b(pick(r, "", "", "UF,URX", "DC")),
		DurationUS: pick[uint32](r, 0, 1, 999, 250_000, 250_001, 4_000_000_000), UpstreamUS: r.Uint32(), TTFBUS: r.Uint32(),
		BytesIn: uint64(r.IntN(1000)), BytesOut: uint64(r.IntN(100_000)), Attempts: uint8(r.IntN(3)),
		UserAgent: b(pick(r, "", "curl/8", "Mozilla/5.0 (中)")), Consumer: b(pick(r, "", "app-1", "app-2")),
		LimitedBy: pick(r, "", "", calllog.LimitedByCapacity, calllog.LimitedByConcurrency), LoadTest: b(pick(r, "", "", "", "run-1", "run-2")),
		SampleWeight: pick[uint32](r, 1, 1, 10, 1000),
	}
	fill := func(id *[16]byte) {
		for i := range id {
			id[i] = byte(r.Uint32())
		}
	}
	if r.IntN(10) > 0 {
		fill(&rec.RequestID)
	}
	if r.IntN(2) > 0 {
		rec.TraceID = [16]byte{15: byte(1 + r.IntN(5))}
	}
	if r.IntN(5) > 0 {
		copy(rec.ClientIP[:], pick(r, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01", " \x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"))
	}
	if r.IntN(4) == 0 {
		rec.Attrs = append(rec.Attrs, calllog.Attr{Key: calllog.AttrDetails, Value: b(pick(r, "upstream_reset", "local_rate_limited"))})
	}
	return rec
}

// store inserts records as the collector does.
func store(t *testing.T, s *System, records []calllog.Record) {
	t.Helper()
	batch, err := s.ch.PrepareBatch(t.Context(), "INSERT INTO calls")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		attrs := map[string]string{}
		for _, a := range r.Attrs {
			attrs[a.Key] = string(a.Value)
		}
		err := batch.Append(time.UnixMicro(r.Time), uuid.UUID(r.RequestID), r.TraceID[:], r.Gateway, r.GatewayZone, string(r.Tenant), string(r.Function), string(r.Revision),
			"", string(r.Zone), string(r.Pod), calllog.MethodName(r.Method), r.Host, r.Path, r.Status, string(r.Flags), r.DurationUS, r.UpstreamUS, r.TTFBUS,
			r.BytesIn, r.BytesOut, r.Attempts, r.ClientIP[:], r.UserAgent, string(r.Consumer), r.LimitedBy, r.LoadTest, r.SampleWeight, attrs)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

// plainly is what a filter means, written down without any of its code.
func plainly(f CallFilter, r *calllog.Record) bool {
	status := func() bool {
		s := int(r.Status)
		switch f.Status {
		case "":
			return true
		case "5xx":
			return s >= 500 && s < 600
		case "2xx":
			return s >= 200 && s < 300
		case ">=400":
			return s >= 400
		case ">404":
			return s > 404
		case "<300":
			return s < 300
		case "<=302":
			return s <= 302
		case "400-499":
			return s >= 400 && s <= 499
		case "failed":
			return s == 0 || s >= 400
		}
		return fmt.Sprint(s) == f.Status
	}
	for _, want := range [][2]string{
		{f.Tenant, string(r.Tenant)},
		{f.Function, string(r.Function)},
		{f.Revision, string(r.Revision)},
		{f.Zone, string(r.Zone)},
		{f.Pod, string(r.Pod)},
		{f.Gateway, r.Gateway},
		{f.Consumer, string(r.Consumer)},
		{f.Host, string(r.Host)},
	} {
		if want[0] != "" && want[0] != want[1] {
			return false
		}
	}
	method := string(r.Method)
	if method == "BREW" {
		method = "_OTHER"
	}
	one := f.RequestID != "" || f.TraceID != ""
	return status() && (f.Method == "" || f.Method == method) &&
		strings.HasPrefix(string(r.Path), f.PathPrefix) && strings.Contains(string(r.Path), f.Path) &&
		(f.LimitedBy == "" || f.LimitedBy == "any" && r.LimitedBy != "" || f.LimitedBy == r.LimitedBy) &&
		(f.MinDuration == "" || f.MinDuration == "250ms" && r.DurationUS >= 250_000 || f.MinDuration == "1ns" && r.DurationUS > 0) &&
		(f.RequestID == "" || f.RequestID == uuid.UUID(r.RequestID).String()) &&
		(f.TraceID == "" || f.TraceID == fmt.Sprintf("%x", r.TraceID)) &&
		(f.LoadRun == "" && (f.LoadTest || one || len(r.LoadTest) == 0) || f.LoadRun != "" && f.LoadRun == string(r.LoadTest)) &&
		(f.Since.IsZero() || time.UnixMicro(r.Time).After(f.Since)) && (f.Until.IsZero() || !time.UnixMicro(r.Time).After(f.Until))
}

// randomFilter uses few fields, so that most of them choose something.
func randomFilter(r *rand.Rand, records []calllog.Record) CallFilter {
	var f CallFilter
	one := records[r.IntN(len(records))]
	for range 1 + r.IntN(3) {
		switch r.IntN(17) {
		case 0:
			f.Status = pick(r, "5xx", "2xx", ">=400", ">404", "<300", "<=302", "400-499", "failed", "0", "404", "429")
		case 1:
			f.Tenant = string(one.Tenant)
		case 2:
			f.Function = string(one.Function)
		case 3:
			f.Revision = string(one.Revision)
		case 4:
			f.Zone = string(one.Zone)
		case 5:
			f.Pod = string(one.Pod)
		case 6:
			f.Gateway = one.Gateway
		case 7:
			f.Consumer = string(one.Consumer)
		case 8:
			f.Method = calllog.MethodName(one.Method)
		case 9:
			f.Host = string(one.Host)
		case 10:
			f.PathPrefix = string(one.Path[:r.IntN(len(one.Path)+1)])
		case 11:
			f.Path = string(one.Path[min(len(one.Path), 3):])
		case 12:
			f.LimitedBy = pick(r, "any", "capacity", "concurrency")
		case 13:
			f.MinDuration = pick(r, "250ms", "1ns")
		case 14:
			f.LoadTest = true
		case 15:
			f.LoadRun = string(one.LoadTest)
		case 16:
			f.Since, f.Until = time.UnixMicro(one.Time), time.UnixMicro(one.Time).Add(time.Duration(r.IntN(20))*time.Minute)
		}
	}
	switch {
	case r.IntN(8) == 0 && one.RequestID != [16]byte{}:
		f.RequestID = uuid.UUID(one.RequestID).String()
	case r.IntN(8) == 0 && one.TraceID != [16]byte{}:
		f.TraceID = fmt.Sprintf("%x", one.TraceID)
	}
	return f
}

// TestFiltersChooseTheSame asks for live and for stored calls with random filters: both
// are what a plain filter chooses, and a live call is its stored one.
func TestFiltersChooseTheSame(t *testing.T) {
	s, ctx := asked(t)
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	var records []calllog.Record
	for i := range 3000 {
		records = append(records, randomRecord(r, begin.Add(time.Duration(i)*2*time.Second+time.Duration(i)*time.Microsecond)))
	}
	store(t, s, records)
	for n := range 150 {
		filter := randomFilter(r, records)
		f, err := filter.parse()
		if err != nil {
			t.Fatalf("%+v: %v", filter, err)
		}
		var want, live []Call
		for i := range records {
			if plainly(filter, &records[i]) {
				want = append(want, calllog.CallOf(&records[i]))
			}
			if f.match(&records[i]) {
				live = append(live, calllog.CallOf(&records[i]))
			}
		}
		stored := []Call(nil)
		if _, err := s.stored(ctx, f, false, 10_000, func(c Call) error { stored = append(stored, c); return nil }); err != nil {
			t.Fatalf("%+v: %v", filter, err)
		}
		slices.Reverse(stored)
		if diff := cmp.Diff(want, live); diff != "" {
			t.Fatalf("filter %d, %+v, live (-want +got):\n%s", n, filter, diff)
		}
		if diff := cmp.Diff(want, stored); diff != "" {
			t.Fatalf("filter %d, %+v, stored (-want +got):\n%s", n, filter, diff)
		}
	}
	t.Run("slowest", func(t *testing.T) {
		f, _ := CallFilter{LoadTest: true}.parse()
		var got []uint32
		if _, err := s.stored(ctx, f, true, 7, func(c Call) error { got = append(got, c.DurationUS); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(records, func(a, b calllog.Record) int { return int(int64(b.DurationUS) - int64(a.DurationUS)) })
		for i, us := range got {
			if us != records[i].DurationUS {
				t.Errorf("%v", got)
			}
		}
		if len(got) != 7 {
			t.Errorf("%d of them", len(got))
		}
	})
	t.Run("top", func(t *testing.T) { testTop(ctx, t, s, r, records) })
	t.Run("errors", func(t *testing.T) { testErrors(ctx, t, s, records) })
	t.Run("rate", func(t *testing.T) { testRate(ctx, t, s, begin, records) })
}

// keysOf says for each kind of top what a record counts for.
func keysOf() map[string]func(calllog.Call) string {
	return map[string]func(calllog.Call) string{
		"function": func(c Call) string { return c.Function }, "tenant": func(c Call) string { return c.Tenant },
		"revision": func(c Call) string { return c.Function + "/" + c.Revision }, "zone": func(c Call) string { return c.Zone },
		"pod": func(c Call) string { return c.Pod }, "gateway": func(c Call) string { return c.Gateway },
		"consumer": func(c Call) string { return c.Consumer }, "method": func(c Call) string { return c.Method },
		"path": func(c Call) string { p, _, _ := strings.Cut(c.Path, "?"); return p }, "host": func(c Call) string { return c.Host },
		"user_agent": func(c Call) string { return c.UserAgent }, "status": func(c Call) string { return fmt.Sprint(c.Status) },
		"flags": func(c Call) string { return c.Flags }, "limited_by": func(c Call) string { return c.LimitedBy },
		"client_ip": func(c Call) string {
			if c.ClientIP == "" {
				return "::"
			}
			return c.ClientIP
		},
	}
}

// testTop compares sums, in which every call has its weight, from single calls and
// from rollups.
func testTop(ctx context.Context, t *testing.T, s *System, r *rand.Rand, records []calllog.Record) {
	sources := map[string]int{}
	for by, key := range keysOf() {
		for range 3 {
			filter := randomFilter(r, records)
			filter.Since, filter.Until, filter.RequestID, filter.TraceID = time.Time{}, time.Time{}, "", ""
			if r.IntN(2) == 0 {
				filter = CallFilter{Tenant: filter.Tenant, Zone: filter.Zone, Status: filter.Status, LoadTest: filter.LoadTest}
			}
			filter.Since = time.Now().Add(-4 * time.Hour) // before all records
			got, err := s.getTop(ctx, &TopQuery{CallFilter: filter, By: by, Sort: "calls", Limit: 1000})
			if err != nil {
				t.Fatalf("%s %+v: %v", by, filter, err)
			}
			sources[got.Body.Source]++
			want := map[string]Measures{}
			for i := range records {
				if !plainly(filter, &records[i]) {
					continue
				}
				c := calllog.CallOf(&records[i])
				m := want[key(c)]
				w := uint64(c.SampleWeight)
				m.Calls += w
				if c.Status >= 500 {
					m.Errors += w
				}
				if c.LimitedBy != "" {
					m.Refused += w
				}
				m.BytesIn += c.BytesIn * w
				m.BytesOut += c.BytesOut * w
				want[key(c)] = m
			}
			have := map[string]Measures{}
			for i, row := range got.Body.Rows {
				if i > 0 && row.Calls > got.Body.Rows[i-1].Calls {
					t.Errorf("%s: not in order: %+v", by, got.Body.Rows)
				}
				row.P50US, row.P90US, row.P99US = 0, 0, 0
				have[row.Key] = row.Measures
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Fatalf("%s %+v from %s (-want +got):\n%s", by, filter, got.Body.Source, diff)
			}
		}
	}
	if sources["calls"] == 0 || sources["calls_1m"] == 0 {
		t.Errorf("answered by %v", sources)
	}
}

func testErrors(ctx context.Context, t *testing.T, s *System, records []calllog.Record) {
	got, err := s.getErrors(ctx, &ErrorsQuery{CallFilter: CallFilter{Since: time.Now().Add(-4 * time.Hour)}, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	total, calls := map[string]uint64{}, map[string]uint64{}
	ids := map[string]string{}
	for i := range records {
		c := calllog.CallOf(&records[i])
		if c.LoadTest != "" {
			continue
		}
		total[c.Function] += uint64(c.SampleWeight)
		if c.Status == 0 || c.Status >= 400 {
			key := fmt.Sprint(c.Function, c.Status, c.Flags, c.Attrs[calllog.AttrDetails])
			calls[key] += uint64(c.SampleWeight)
			ids[c.RequestID] = key
		}
	}
	for _, g := range got.Body.Errors {
		key := fmt.Sprint(g.Function, g.Status, g.Flags, g.Details)
		if calls[key] != g.Calls || g.Share != float64(g.Calls)/float64(total[g.Function]) || g.First.After(g.Last) {
			t.Errorf("%+v, want %d of %d", g, calls[key], total[g.Function])
		}
		if g.Example != (uuid.UUID{}).String() && ids[g.Example] != key {
			t.Errorf("the example of %s is one of %s", key, ids[g.Example])
		}
		delete(calls, key)
	}
	if len(calls) > 0 {
		t.Errorf("missing: %v", calls)
	}
}

func testRate(ctx context.Context, t *testing.T, s *System, begin time.Time, records []calllog.Record) {
	for _, c := range []struct {
		step, source string
		filter       CallFilter
	}{
		{"1m", "calls_1m", CallFilter{Tenant: "rail"}},
		{"30s", "calls_10s", CallFilter{Tenant: "rail", LoadTest: true}},
		{"7s", "calls", CallFilter{Tenant: "rail"}},
		{"1m", "calls", CallFilter{Tenant: "rail", Method: "GET"}},
		{"1h", "calls_1h", CallFilter{Status: "5xx"}},
	} {
		c.filter.Since, c.filter.Until = begin.Add(10*time.Minute), begin.Add(40*time.Minute)
		got, err := s.getRate(ctx, &RateQuery{CallFilter: c.filter, Step: c.step})
		if err != nil {
			t.Fatal(err)
		}
		step, _ := time.ParseDuration(c.step)
		want := map[int64]uint64{}
		all := c.filter
		all.Since, all.Until = time.Time{}, time.Time{}
		for i := range records {
			if plainly(all, &records[i]) {
				want[records[i].Time/step.Microseconds()] += uint64(records[i].SampleWeight)
			}
		}
		if got.Body.Source != c.source || len(got.Body.Points) < int(30*time.Minute/step) {
			t.Errorf("%+v: %d points from %s", c, len(got.Body.Points), got.Body.Source)
		}
		for i, p := range got.Body.Points {
			n := want[p.Time.UnixMicro()/step.Microseconds()]
			last := i == len(got.Body.Points)-1 // ends within the range
			if p.Calls != n && !last || p.Calls > n {
				t.Errorf("%+v: %s: %d calls, want %d", c, p.Time, p.Calls, n)
			}
		}
	}
}

func TestQuantilesKnowWeights(t *testing.T) {
	s, ctx := asked(t)
	begin := time.Now().Add(-time.Minute)
	var records []calllog.Record
	add := func(n int, us, weight uint32) {
		for range n {
			records = append(records, calllog.Record{Time: begin.UnixMicro(), Function: []byte("f"), Status: 200, DurationUS: us, SampleWeight: weight})
		}
	}
	add(100, 1000, 100) // 10,000 quick calls, of which one in a hundred is stored
	add(60, 900_000, 1) // 60 slow ones, all of them
	store(t, s, records)
	got, err := s.getTop(ctx, &TopQuery{By: "method", Sort: "p99", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	row := got.Body.Rows[0]
	if row.Calls != 10_060 || row.P99US < 990 || row.P99US > 1010 || row.P50US < 990 || row.P50US > 1010 {
		t.Errorf("%+v", row)
	}
}

func TestFilterNamesWhatItCannotRead(t *testing.T) {
	_, err := CallFilter{
		Status: "9xx", MinDuration: "long", RequestID: "1", TraceID: strings.Repeat("0", 32),
		Since: time.Unix(2, 0), Until: time.Unix(1, 0),
	}.parse()
	for _, field := range []string{"status: is \"9xx\", want", "min_duration: is", "request_id: is", "trace_id: is", "until: is"} {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(field)) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestAlike(t *testing.T) {
	names := []string{"recommend-feed", "recommend-tour", "rail", ""}
	for name, want := range map[string]string{"recommend-fed": "recommend-feed", "feed": "recommend-feed", "rial": "", "railx": "rail", "x": ""} {
		if got := alike(name, names); len(got) == 0 && want != "" || len(got) > 0 && got[0] != want {
			t.Errorf("%s: %v, want %q", name, got, want)
		}
	}
}
