package report_test

import (
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kongdao/kongdao/internal/queue"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/sketch"
)

// server has a line: with c workers and exponential service times at Poisson
// arrivals: M/M/c. What follows a slow request is slow, too.
type server struct {
	rate    float64 // requests a second
	workers int
	service time.Duration // mean
	failing float64       // share of requests
}

// run is what a load test of so many seconds would report.
func (q server) run(seed uint64, seconds int) report.Result {
	r := rand.New(rand.NewPCG(seed, 7))
	h := hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
	out := report.Result{Run: "sim", Valid: true, Seconds: float64(seconds), OfferedRate: q.rate}
	at := -30.0 // the queue has its law when we begin to look
	line := queue.NewLine(q.workers, at)
	var now *sketch.Recorder
	second := -1
	var current report.Interval
	end := func() {
		if now != nil {
			current.Describe(now.Sketch())
			out.Intervals = append(out.Intervals, current)
		}
	}
	for {
		at += r.ExpFloat64() / q.rate
		if at >= float64(seconds) {
			break
		}
		service := r.ExpFloat64() * q.service.Seconds()
		done := line.Serve(at, service) + service
		if at < 0 {
			continue
		}
		if int(at) != second {
			end()
			second = int(at)
			now, current = sketch.NewRecorder(), report.Interval{At: float64(second), Length: 1}
		}
		latency := time.Duration((done - at) * float64(time.Second))
		now.Add(latency)
		_ = h.RecordValue(max(1, latency.Microseconds()))
		current.Planned++
		current.Sent++
		if r.Float64() >= q.failing {
			current.Good++
		} else {
			current.Failed++
		}
	}
	end()
	out.Sent = uint64(h.TotalCount())
	out.Latency = report.LatencyOf(h)
	out.Confidence = out.ConfidenceOf(h)
	return out
}
