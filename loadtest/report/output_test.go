package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/loadtest/report"
)

func sample() report.Result {
	q := shop()
	q.failing = 0.003
	r := q.run(3, 60)
	r.Scenario, r.AchievedRate, r.Status = "feed <&> co", r.OfferedRate, map[int]uint64{200: r.Sent}
	r.Thresholds = []report.ThresholdOutcome{{Expr: "p99 < 120ms", OK: true, Actual: r.Latency.P99}, {Expr: "success > 99.9%", Actual: 0.997}}
	r.Agents = []report.Agent{{Name: "a-1", Valid: true, Sent: 6000, Rate: 100}}
	for i := range r.Intervals {
		r.Intervals[i].LagP99, r.Intervals[i].CPU, r.Intervals[i].Core = 0.0002, 0.12, 0.4
	}
	return r
}

func TestJUnit(t *testing.T) {
	r := sample()
	r.Valid, r.InvalidReasons = false, []string{"the generator's process used all of its cores, in 3–5 s"}
	var b bytes.Buffer
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Suite struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Errors   int    `xml:"errors,attr"`
			Cases    []struct {
				Name    string  `xml:"name,attr"`
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	s := got.Suite
	if s.Name != "feed <&> co" || s.Tests != 3 || s.Failures != 1 || s.Errors != 1 || len(s.Cases) != 3 {
		t.Fatalf("%s", b.String())
	}
	if s.Cases[0].Error == nil || s.Cases[1].Failure != nil || s.Cases[2].Failure == nil || s.Cases[1].Name != "p99 < 120ms" {
		t.Errorf("%s", b.String())
	}
}

// The page is one file: it fetches nothing, runs nothing, escapes what it is given.
func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if path := os.Getenv("KONGDAO_REPORT"); path != "" { // to look at it
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := b.String()
	for _, bad := range []string{"<script", "http://", "https://", "url(", "feed <&> co", "NaN", "Inf", "%!"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{"Rate against the plan", "Latency from the planned time", "schedule lag", "Distribution of latencies", "p99 &lt; 120ms", "broken", "feed &lt;&amp;&gt; co", "a-1"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n := strings.Count(text, "<svg"); n != 6 {
		t.Errorf("%d charts, want 6", n)
	}
	if err := (report.Result{Run: "empty"}).WriteHTML(&b); err != nil {
		t.Error(err)
	}
}

// What is written as JSON is all there is: a page of it is the same.
func TestResultSurvivesJSON(t *testing.T) {
	want := sample()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := report.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := want.WriteHTML(&a); err != nil {
		t.Fatal(err)
	}
	if err := got.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if len(a.Bytes()) != len(b.Bytes()) {
		t.Errorf("%d and %d bytes", a.Len(), b.Len())
	}
	c, err := report.Compare(want, got, 0)
	if err != nil || c.Verdict != report.Nothing {
		t.Errorf("a run against itself: %+v, %v", c, err)
	}
}
