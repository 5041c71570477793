package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kongdao/kongdao/api"
)

// ordinary are 40 calls a second of "feed" on two pods for forty minutes, in which r13,
// whose calls take half as long again, follows r12; tests of stress besides, and calls
// that a limit refused.
const ordinary = `INSERT INTO calls (ts, request_id, tenant, function, revision, zone, pod, status, duration_us, load_test, sample_weight)
WITH intDiv(number, 40) AS second, second < 1200 AS old
SELECT fromUnixTimestamp64Micro(toInt64(%[1]d) + toInt64(second) * 1000000 + number %% 40 * 25000), generateUUIDv4(), 'recommend', 'feed',
	if(f = 'refused', '', if(old, 'r12', 'r13')), if(f = 'refused', '', 'zb-a'), if(f = 'refused', '', concat('127.0.0.1:', toString(9100 + number %% 2))),
	if(f = 'refused', 429, if(old AND number %% 100 = 0, 503, 200)), toUInt32(if(f = 'test', 900000, if(old, 10000, 15000) * (0.5 - log(1 - randCanonical(number)) / 2))), if(f = 'test', 'lt-1', ''), 1
FROM numbers(2400 * 40) ARRAY JOIN ['', 'test', 'refused'] AS f`

func TestWatchOfStoredCalls(t *testing.T) {
	s, ctx := asked(t)
	now := time.Now()
	if err := s.ch.Exec(ctx, fmt.Sprintf(ordinary, now.Add(-time.Hour).Truncate(stretchSeconds*time.Second).UnixMicro())); err != nil {
		t.Fatal(err)
	}
	all, err := s.stretches(ctx, now)
	if err != nil {
		t.Fatal(err)
	}
	old := all["feed"]["r12"]
	if len(all) != 1 || len(all["feed"]) != 2 || len(old) != 120 {
		t.Fatalf("%d functions, %d stretches of r12", len(all), len(old))
	}
	for _, x := range old {
		if x.Pods != 2 || x.Rate != 20 || x.Calls != 400 || x.Failed != 4 || x.Quantiles[len(x.Quantiles)-1] > 0.2 {
			t.Fatalf("a stretch is %+v", x)
		}
	}
	if n := len(warm(old)); n != 108 {
		t.Errorf("%d stretches but for the first two minutes", n)
	}
	f := &api.Function{}
	f.Name = "feed"
	f.Spec.Revisions = []api.Revision{{Name: "r11"}, {Name: "r12"}, {Name: "r13"}}
	w := judged(f, all["feed"], 1)
	if len(w.Revisions) != 2 || w.Revisions[0].Change != nil || w.Revisions[0].Estimate.Why != "there is no objective for latency" {
		t.Fatalf("judged %+v", w)
	}
	c := w.Revisions[1].Change
	if c == nil || !c.Worse || c.Before != "r12" || c.Low > 1.5 || c.High < 1.5 {
		t.Errorf("half as long again is said to be %+v", c)
	}
	s.watched.set(Watched{At: now, Functions: []WatchedFunction{w}})
	c.Low = 1.25
	want := `# HELP kongdao_capacity_release_slowdown How many times as long calls take at least as those of the revision before, at the same load, with 99 %.
# TYPE kongdao_capacity_release_slowdown gauge
kongdao_capacity_release_slowdown{before="r12",function="feed",revision="r13"} 1.25
`
	if err := testutil.CollectAndCompare(watchMetrics{&s.watched}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
