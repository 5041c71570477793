package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/report"
)

// encodings are vegeta's; every one can be read back.
var encodings = map[string]func(io.Writer) vegeta.Encoder{
	"gob":  vegeta.NewEncoder,
	"json": vegeta.NewJSONEncoder,
	"csv":  vegeta.NewCSVEncoder,
}

// encode is n results, the last of which failed.
func encode(t testing.TB, encoder func(io.Writer) vegeta.Encoder, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	e := encoder(&b)
	began := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for i := range n {
		r := vegeta.Result{
			Attack: "lt-1", Seq: uint64(i), Code: 200, Timestamp: began.Add(time.Duration(i) * 10 * time.Millisecond),
			Latency: time.Duration(i+1) * time.Millisecond, BytesIn: 5, Method: "GET", URL: "http://127.0.0.1/",
		}
		if i == n-1 {
			r.Code, r.Error = 0, "timeout"
		}
		if err := e(&r); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestReadCountsSingleResults(t *testing.T) {
	for name, encoder := range encodings {
		t.Run(name, func(t *testing.T) {
			r, err := report.Read(bytes.NewReader(encode(t, encoder, 100)))
			if err != nil {
				t.Fatal(err)
			}
			if r.Run != "lt-1" || r.Sent != 100 || r.Status[200] != 99 || r.Errors["no answer"] != 1 || r.BytesIn != 500 {
				t.Errorf("got %+v", r)
			}
			if r.AchievedRate < 99.9 || r.AchievedRate > 100.1 {
				t.Errorf("rate %v, want 100", r.AchievedRate)
			}
			want := report.Latency{Mean: 0.0505, P50: 0.05, P90: 0.09, P99: 0.099, Max: 0.1}
			if d := r.Latency.P99 - want.P99; d < -0.0001 || d > 0.0001 || r.Latency.P50 < 0.0499 || r.Latency.P50 > 0.0501 {
				t.Errorf("latency %+v, want %+v", r.Latency, want)
			}
			if s := r.Success(); s != 0.99 {
				t.Errorf("success %v, want 0.99", s)
			}
		})
	}
}

func TestReadGivesAResultBack(t *testing.T) {
	want := report.Result{
		Run: "lt-2", Valid: true, OfferedRate: 300, Sent: 9, Status: map[int]uint64{200: 9}, Thresholds: []report.ThresholdOutcome{{Expr: "p99 < 1s", OK: true, Actual: 0.5}},
		Started: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
	}
	for _, indent := range []string{"", "  "} {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetIndent("", indent)
		if err := e.Encode(want); err != nil {
			t.Fatal(err)
		}
		got, err := report.Read(&text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
	}
}

func TestReadRefusesOtherFiles(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "text": "hello", "other JSON": `{"a":1}`, "YAML": "kind: Scenario\n"} {
		if r, err := report.Read(strings.NewReader(text)); !errors.Is(err, report.ErrUnknownFormat) {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
	whole := encode(t, vegeta.NewEncoder, 100)
	if _, err := report.Read(bytes.NewReader(whole[:len(whole)-10])); err == nil {
		t.Error("a file that was cut off was read without an error")
	}
}

func TestEmptyResultHasNoNulls(t *testing.T) {
	text, err := json.Marshal(report.Result{})
	if err != nil || bytes.Contains(text, []byte("null")) {
		t.Errorf("%s, %v", text, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, encoder := range encodings {
		f.Add(encode(f, encoder, 2)) // small ones, as larger take a minute each to minimise
	}
	f.Add([]byte(`{"run":"x","sent":1}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := report.Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		if err := r.WriteText(io.Discard); err != nil {
			t.Error(err)
		}
	})
}
