package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/report"
)

// TestLoadRuns stores what a real run measured, beside calls of it.
func TestLoadRuns(t *testing.T) {
	c := caller{
		t: t, system: start(t, testConfig(t), app.PartCollector, app.PartAPI),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline},
	}
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer target.Close()
	want, err := loadtest.Run(t.Context(), api.ScenarioSpec{
		Targets: []api.Target{{URL: target.URL}}, Stages: []api.Stage{{Rate: 50, Duration: api.Duration(time.Second)}}, Thresholds: []string{"p99 < 1h"},
	}, loadtest.Options{Name: "feed-50"})
	if err != nil {
		t.Fatal(err)
	}
	c.callsOf(want, 50)

	var stored app.LoadRun
	for range 2 { // twice is once
		if status := c.api(http.MethodPost, "/load-runs", want, &stored); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	if stored.Function != "feed" || stored.Calls.Calls != 50 || stored.Scenario != "feed-50" {
		t.Errorf("stored %+v", stored)
	}
	var list app.LoadRunList
	c.api(http.MethodGet, "/load-runs", nil, &list)
	if len(list.Runs) != 1 || list.Runs[0].Run != want.Run || list.Runs[0].Calls.Calls != 50 || list.Runs[0].P99 != want.Latency.P99 {
		t.Errorf("list %+v", list)
	}
	c.api(http.MethodGet, "/load-runs?scenario=other", nil, &list)
	if len(list.Runs) != 0 {
		t.Errorf("list of another scenario %+v", list)
	}
	var detail app.LoadRunDetail
	if status := c.api(http.MethodGet, "/load-runs/"+want.Run, nil, &detail); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if diff := cmp.Diff(want, detail.Result, cmpopts.EquateApproxTime(time.Microsecond), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-measured +stored:\n%s", diff)
	}
	c.annotated(t, want)

	var problem string
	if status := c.api(http.MethodGet, "/load-runs/lt-none", nil, &problem); status != http.StatusNotFound {
		t.Errorf("a run that nobody stored: %d %s", status, problem)
	}
	if status := c.api(http.MethodPost, "/load-runs", report.Result{}, &problem); status != http.StatusUnprocessableEntity {
		t.Errorf("a result without a name: %d %s", status, problem)
	}
}

// callsOf stores n calls of the run, as the gateway would.
func (c caller) callsOf(r report.Result, n int) {
	c.t.Helper()
	err := c.system.ClickHouse().Exec(c.t.Context(), fmt.Sprintf(`INSERT INTO calls (ts, request_id, tenant, function, path, status, duration_us, load_test, sample_weight)
SELECT fromUnixTimestamp64Micro(%d), generateUUIDv4(), 'recommend', 'feed', '/', 200, 1000, '%s', 1 FROM numbers(%d)`, r.Started.UnixMicro(), r.Run, n))
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c caller) annotated(t *testing.T, r report.Result) {
	began := r.Started.UnixMilli()
	for _, x := range []struct {
		from, to int64
		want     int
	}{{began - 1000, began + 5000, 1}, {began + 3_600_000, began + 7_200_000, 0}, {0, 0, 1}} {
		var all []app.Annotation
		q := url.Values{"from": {fmt.Sprint(x.from)}, "to": {fmt.Sprint(x.to)}}
		c.api(http.MethodGet, "/load-runs/annotations?"+q.Encode(), nil, &all)
		if len(all) != x.want {
			t.Errorf("%d to %d: %+v", x.from, x.to, all)
		}
		if len(all) == 1 && (all[0].Time != began || all[0].TimeEnd <= began || all[0].Title != "load test feed-50") {
			t.Errorf("%+v", all[0])
		}
	}
}
