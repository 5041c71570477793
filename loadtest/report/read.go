package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// ErrUnknownFormat is for a file that is neither a result in JSON nor single
// results in one of vegeta's encodings (gob, JSON, CSV).
var ErrUnknownFormat = errors.New("not a load test's result: want its JSON, or vegeta's gob, JSON or CSV")

// Read reads what "load run" wrote: the result in JSON as it is, or single results
// in any of vegeta's encodings, which are counted anew. From single results it
// cannot know what was late, dropped or lagging; they come from whole runs, so
// Valid is true when there is at least one.
func Read(r io.Reader) (Result, error) {
	b := bufio.NewReader(r)
	if head, _ := b.Peek(512); len(head) == 0 {
		return Result{}, fmt.Errorf("empty file: %w", ErrUnknownFormat)
	} else if isResult(head) {
		var result Result
		if err := json.NewDecoder(b).Decode(&result); err != nil {
			return Result{}, fmt.Errorf("decode result: %w", err)
		}
		return result, nil
	}
	decode := vegeta.DecoderFor(b)
	if decode == nil {
		return Result{}, ErrUnknownFormat
	}
	return count(decode)
}

// isResult tells a result from a line of vegeta's JSON, which has "attack" first.
func isResult(head []byte) bool {
	head, found := bytes.CutPrefix(bytes.TrimSpace(head), []byte("{"))
	return found && bytes.HasPrefix(bytes.TrimSpace(head), []byte(`"run"`))
}

func count(decode vegeta.Decoder) (Result, error) {
	r := Result{Status: map[int]uint64{}, Errors: map[string]uint64{}}
	h := hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
	var first, last time.Time
	var in intervalsOf
	for {
		var x vegeta.Result
		err := decode(&x)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Result{}, fmt.Errorf("result %d: %w", r.Sent+1, err)
		}
		if in.length == 0 {
			in.length, in.began = time.Second, x.Timestamp
		}
		in.add(x.Timestamp, x.Latency, x.Code >= 200 && x.Code < 400, x.Code == 0 || x.Code >= 500)
		if first.IsZero() || x.Timestamp.Before(first) {
			first = x.Timestamp
		}
		if x.Timestamp.After(last) {
			last = x.Timestamp
		}
		r.Run = x.Attack
		r.Sent++
		r.BytesIn += x.BytesIn
		r.BytesOut += x.BytesOut
		if x.Code != 0 {
			r.Status[int(x.Code)]++
		} else {
			r.Errors["no answer"]++
		}
		_ = h.RecordValue(max(1, min(h.HighestTrackableValue(), x.Latency.Microseconds()))) // within bounds
	}
	r.Valid = r.Sent > 0
	r.Started = first
	r.Seconds = last.Sub(first).Seconds()
	if r.Seconds > 0 {
		r.OfferedRate = float64(r.Sent-1) / r.Seconds
		r.AchievedRate = r.OfferedRate
	}
	r.Latency = LatencyOf(h)
	r.Intervals, r.Histogram = in.done(), Encoded(h)
	r.Confidence = r.ConfidenceOf(h)
	return r, nil
}

// LatencyOf summarises a histogram of microseconds.
func LatencyOf(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	at := func(percent float64) float64 { return seconds(h.ValueAtPercentile(percent)) }
	return Latency{Mean: math.Round(h.Mean()) / 1e6, P50: at(50), P90: at(90), P99: at(99), Max: seconds(h.Max())}
}

func seconds(microseconds int64) float64 { return float64(microseconds) / 1e6 }
