package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/app"
)

// paged is one fault on its way to the chat.
type paged struct {
	alert, label, value string // the page that it has to become: label=value
	series              string // that shows it first
	begun               time.Time

	seen, active, fired, told time.Time
}

// BenchmarkFaultToPage breaks things under the shipped rules and intervals, each at a
// moment of its own, and measures until the robot has the page: ten zones lose all
// their pods, ten functions answer 500. The parts add up: until a scrape has it
// (detection included), until the rule holds, the rule's "for", and grouping with
// outbox. It takes a minute and a half; -v shows each fault.
func BenchmarkFaultToPage(b *testing.B) {
	const each, apart = 10, 4 * time.Second
	for b.Loop() {
		robots := dingtalktest.Start(b, dingtalktest.Config{Tokens: []string{"a", "b", "c", "d"}})
		cfg := testConfig(b)
		var all strings.Builder
		for _, token := range []string{"a", "b", "c", "d"} {
			fmt.Fprintf(&all, "apiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: robot-%s}\nspec: {url: %q}\n---\n", token, robots.URL(token))
		}
		all.WriteString("apiVersion: kongdao.io/v1\nkind: Channel\nmetadata: {name: on-call}\nspec: {robots: [robot-a, robot-b, robot-c, robot-d]}\n")
		pods := make([]*httptest.Server, each)
		var failing [each]atomic.Bool
		for i := range each {
			pods[i] = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			b.Cleanup(pods[i].Close)
			sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if failing[i].Load() {
					w.WriteHeader(http.StatusInternalServerError)
				}
			}))
			b.Cleanup(sick.Close)
			fmt.Fprintf(&all, pageFunction, fmt.Sprintf("zone%d", i), i, strings.TrimPrefix(pods[i].URL, "http://"), fmt.Sprintf("z%02d", i))
			fmt.Fprintf(&all, pageFunction, fmt.Sprintf("sick%d", i), each+i, strings.TrimPrefix(sick.URL, "http://"), "steady")
		}
		write(b, cfg.ResourcesDir, "all.yaml", all.String())
		s := start(b, cfg)
		if err := s.WaitLive(b.Context()); err != nil {
			b.Fatal(err)
		}
		stop := callAll(b, s, 2*each)
		warm := time.NewTimer(45 * time.Second) // a window of the rules without a fault
		<-warm.C

		var faults []*paged
		for i := range each {
			faults = append(faults,
				&paged{alert: "ZoneDown", label: "zone", value: fmt.Sprintf("z%02d", i), series: fmt.Sprintf(`kongdao_xds_ready_pods{zone="z%02d"} == 0`, i)},
				&paged{alert: "ErrorRate", label: "function", value: fmt.Sprintf("sick%d", i), series: fmt.Sprintf(`kongdao_collector_calls_total{function="sick%d",code="500"} > 0`, i)})
		}
		tick := time.NewTicker(apart/2 + 137*time.Millisecond) // runs through all phases of 5 s
		for i, f := range faults {
			<-tick.C
			f.begun = time.Now()
			if i%2 == 0 {
				pods[i/2].CloseClientConnections()
				pods[i/2].Close()
			} else {
				failing[i/2].Store(true)
			}
		}
		tick.Stop()
		for _, f := range faults {
			f.follow(b, s, robots)
		}
		stop()
		if r := robots.Refusals(); len(r) > 0 {
			b.Errorf("refused: %v", r)
		}
		reportPages(b, faults)
	}
	b.ReportMetric(0, "ns/op")
}

const pageFunction = `---
apiVersion: kongdao.io/v1
kind: Function
metadata: {name: %[1]s, tenant: t}
spec:
  routes: [{hosts: [api.example.com], path: /f%[2]d, methods: [GET]}]
  revisions: [{name: r1, endpoints: [{address: %[3]q, zone: %[4]s}]}]
  access: {public: true}
`

// callAll calls each function four times a second until stop.
func callAll(b *testing.B, s *app.System, functions int) (stop func()) {
	done := make(chan struct{})
	var calling sync.WaitGroup
	client := &http.Client{Timeout: 5 * time.Second}
	for i := range functions {
		calling.Go(func() {
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/f%d", s.Addresses().Gateway, i), nil)
				if err != nil {
					b.Error(err)
					return
				}
				req.Host = "api.example.com"
				if res, err := client.Do(req); err == nil {
					res.Body.Close()
				}
			}
		})
	}
	return func() { close(done); calling.Wait(); client.CloseIdleConnections() }
}

// follow waits for the page and asks Prometheus when it was where.
func (f *paged) follow(b *testing.B, s *app.System, robots *dingtalktest.Server) {
	b.Helper()
	page := func(all []dingtalktest.Received) bool {
		i := slices.IndexFunc(all, func(m dingtalktest.Received) bool {
			return strings.Contains(m.Title, f.alert) && strings.Contains(m.Title+m.Text, f.value) && strings.Contains(m.Title, "🔴")
		})
		if i >= 0 {
			f.told = all[i].At
		}
		return i >= 0
	}
	ctx, cancel := b.Context(), func() {}
	defer cancel()
	if _, err := robots.Wait(ctx, page); err != nil {
		b.Fatalf("%s %s: %v", f.alert, f.value, err)
	}
	f.seen = f.first(b, s, fmt.Sprintf("(%s)", f.series))
	f.active = f.first(b, s, fmt.Sprintf(`ALERTS{alertname=%q,%s=%q,severity="page"}`, f.alert, f.label, f.value))
	f.fired = f.first(b, s, fmt.Sprintf(`ALERTS{alertname=%q,%s=%q,severity="page",alertstate="firing"}`, f.alert, f.label, f.value))
}

// first is when an expression had a value first since the fault, to 100 ms.
func (f *paged) first(b *testing.B, s *app.System, expr string) time.Time {
	b.Helper()
	query := url.Values{
		"query": {fmt.Sprintf("min(timestamp(%s))", expr)}, "start": {seconds(f.begun)}, "end": {seconds(f.told)}, "step": {"0.1"},
	}
	if !strings.HasPrefix(expr, "(") {
		query.Set("query", fmt.Sprintf("min(timestamp(%s))", expr))
	}
	res, err := http.Get("http://" + s.Addresses().Prometheus + "/api/v1/query_range?" + query.Encode())
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || len(answer.Data.Result) == 0 || len(answer.Data.Result[0].Values) == 0 {
		b.Fatalf("%s: %v %+v", expr, err, answer)
	}
	at, ok := answer.Data.Result[0].Values[0][0].(float64)
	if !ok {
		b.Fatalf("%+v", answer)
	}
	return time.UnixMilli(int64(at * 1000))
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func reportPages(b *testing.B, faults []*paged) {
	var t table
	parts := []string{"whole", "scrape", "evaluation", "for", "grouping and outbox"}
	by := map[string][][]float64{}
	for _, f := range faults {
		at := []time.Time{f.begun, f.seen, f.active, f.fired, f.told}
		row := []float64{f.told.Sub(f.begun).Seconds()}
		for i := range at[1:] {
			row = append(row, max(0, at[i+1].Sub(at[i]).Seconds()))
		}
		by[f.alert] = append(by[f.alert], row)
		t.add("%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f", f.alert, f.value, row[0], row[1], row[2], row[3], row[4])
	}
	t.log(b, "alert\tof\tfault to page s\tscrape\tevaluation\tfor\tgrouping and outbox")
	for _, name := range []string{"ZoneDown", "ErrorRate"} {
		for i, part := range parts {
			var values []float64
			for _, row := range by[name] {
				values = append(values, row[i])
			}
			slices.Sort(values)
			unit := strings.ReplaceAll(name+"-"+part, " ", "-")
			b.ReportMetric(values[len(values)/2], unit+"-p50-s")
			if i == 0 {
				b.ReportMetric(values[len(values)-1], unit+"-p99-s") // of ten the longest
			}
		}
	}
}
