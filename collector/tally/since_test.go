package tally

import (
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/kongdao/kongdao/internal/calllog"
)

// TestCountersSaySinceWhen: without it Prometheus would not see the first errors of a
// function as a rise, for there is nothing before them to rise from.
func TestCountersSaySinceWhen(t *testing.T) {
	begun := time.Now()
	m, tl := NewMetrics(10), New()
	tl.Add(&calllog.Record{DurationUS: 7, Status: 500})
	m.Add(tl)
	counters := 0
	for _, c := range m.calls.counters(nil) {
		var out dto.Metric
		if err := c.Write(&out); err != nil {
			t.Fatal(err)
		}
		counters++
		if since := out.Counter.GetCreatedTimestamp().AsTime(); since.Before(begun.Add(-time.Second)) || since.After(time.Now()) {
			t.Errorf("counts since %v", since)
		}
	}
	if counters == 0 {
		t.Error("no counter")
	}
}
