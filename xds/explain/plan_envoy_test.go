package explain_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/plan"
)

// TestPlanOfRealCalls replays what a real Envoy writes down of random requests. The
// records have to agree with the World that it serves, and whatever is said of
// another World has to be what Explain says of the request itself.
func TestPlanOfRealCalls(t *testing.T) {
	const requests = 500
	headers, err := calllog.NewHeaders([]string{"x-gray", "x-canary"})
	if err != nil {
		t.Fatal(err)
	}
	pods, dead := explain.StartPods(t)
	c := explain.NewChance(t, 21, 1).Over(pods, dead)
	old, now := pair(c, explain.NewChance(t, 22, 1).Over(pods, dead))
	var sent []explain.Request
	for len(sent) < requests {
		r := c.Request()
		if r.Method != http.MethodOptions {
			r.Headers.Del("Origin")
		}
		if !beyond(r) && r.Headers.Get("Upgrade") == "" {
			sent = append(sent, r)
		}
	}
	records := bytes.Split(bytes.TrimSuffix(explain.Logged(t, old, sent, headers.TextFormat()), []byte("\n")), []byte("\n"))
	if len(records) != len(sent) {
		t.Fatalf("%d records of %d requests", len(records), len(sent))
	}
	p := plan.New(old, now, plan.Options{Kept: []string{"x-gray", "x-canary"}})
	otherwise, told, changed := 0, 0, 0
	for i, line := range records {
		var record calllog.Record
		record.Reset()
		if err := headers.ParseText(line, &record); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		call := calllog.CallOf(&record)
		got := p.Call(&call)
		if got.Otherwise {
			otherwise++
			t.Errorf("the record of %s %s%s %v does not agree: %+v\n%s", sent[i].Method, sent[i].Host, sent[i].Path, sent[i].Headers, call, explain.Explain(old, sent[i]).Text())
		}
		if len(got.Unknown) > 0 {
			continue
		}
		told++
		want := either(plan.Compare(old, now, sent[i]), got.Differences)
		if len(want) > 0 {
			changed++
		}
		if diff := cmp.Diff(want, got.Differences); diff != "" {
			t.Errorf("%s %s%s %v: -want +got:\n%s", sent[i].Method, sent[i].Host, sent[i].Path, sent[i].Headers, diff)
		}
		if t.Failed() && otherwise > 3 {
			t.FailNow()
		}
	}
	t.Logf("%d told, %d of them change", told, changed)
	if told < 100 || changed < 5 {
		t.Errorf("%d told, %d changed: too few for this test to mean anything", told, changed)
	}
}
