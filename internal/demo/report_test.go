package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/demo/traffic"
)

func TestReportNamesWhatWasMissed(t *testing.T) {
	good, bad := Step{Name: "start"}, Step{Name: "enforce", Title: "Enforce <all>"}
	good.must(true, "never said")
	bad.must(false, "a pod got %d requests", 107)
	good.OK, bad.OK = len(good.Missed) == 0, len(bad.Missed) == 0
	r := Report{Started: time.Unix(0, 0), Steps: []Step{good, bad}}
	if got := r.Missed(); len(got) != 1 || got[0] != "enforce" {
		t.Errorf("missed %v", got)
	}
	page, err := r.Page()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a pod got 107 requests", "Enforce &lt;all&gt;", "Missed: enforce"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestPageNeedsNothingElse keeps the report one file: no script, nothing fetched.
func TestPageNeedsNothingElse(t *testing.T) {
	c := traffic.Counts{Seconds: map[int64]traffic.Second{}}
	for i := range int64(6) {
		c.Seconds[100+i] = traffic.Second{Sent: 10, OK: 6, Refused: 4}
	}
	page, err := Report{Steps: []Step{{OK: true, Charts: []Chart{chart("calls", c)}}}}.Page()
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	if !strings.Contains(text, "<svg") {
		t.Error("no chart")
	}
	for _, foreign := range []string{"<script", "src=", "<link", "@import"} {
		if strings.Contains(text, foreign) {
			t.Errorf("the page has %s", foreign)
		}
	}
}

func TestChartLeavesOutSecondsThatAreNotWhole(t *testing.T) {
	c := traffic.Counts{Seconds: map[int64]traffic.Second{7: {Sent: 1}, 8: {Sent: 10}, 9: {Sent: 20}, 10: {Sent: 2}}}
	points := chart("calls", c).Series[0].Points
	if len(points) != 2 || points[0] != (Point{1, 10}) || points[1] != (Point{2, 20}) {
		t.Errorf("%v", points)
	}
}
