package app

import (
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of questions at a time. Each has a connection to ClickHouse, and the
// collector needs some as well: the embedded engine allows 50 queries.
const (
	maxQuestions       = 32 // of all readers together, but for the operator
	maxReaderQuestions = 8  // of one reader, and of the operator
)

// questions are those that are being answered: how many, and how it went.
type questions struct {
	slots   chan struct{} // holds one for each of maxQuestions
	total   *prometheus.CounterVec
	seconds prometheus.Histogram
	views   prometheus.Gauge
	dropped prometheus.Counter
}

// newQuestions registers the metrics; a nil reg means none.
func newQuestions(reg prometheus.Registerer) (*questions, error) {
	q := &questions{
		slots: make(chan struct{}, maxQuestions),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_api_questions_total",
			Help: "Questions about calls that ClickHouse was asked, by result: answered, refused, busy, left, failed.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kongdao_api_question_seconds", Help: "Time of one question to ClickHouse, its answer read.",
			Buckets:                     []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 60, 300},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}),
		views: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kongdao_api_live_views", Help: "Open live views of calls.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kongdao_api_live_dropped_calls_total", Help: "Calls that live views did not show because they were read too slowly; the calls are stored.",
		}),
	}
	for _, result := range []string{"answered", "refused", "busy", "left", "failed"} {
		q.total.WithLabelValues(result)
	}
	if reg == nil {
		return q, nil
	}
	return q, errors.Join(reg.Register(q.total), reg.Register(q.seconds), reg.Register(q.views), reg.Register(q.dropped))
}

// count notes how a question went.
func (q *questions) count(err error) {
	result := "failed"
	var shown huma.StatusError
	switch {
	case err == nil:
		result = "answered"
	case errors.Is(err, errTooManyQuestions):
		result = "busy"
	case errors.As(answerOf(err), &shown) && shown.GetStatus() == statusLeft:
		result = "left"
	case shown != nil && shown.GetStatus() < http.StatusInternalServerError:
		result = "refused"
	}
	q.total.WithLabelValues(result).Inc()
}
