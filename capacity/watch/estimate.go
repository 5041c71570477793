package watch

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/predict"
)

// Stretch is ten seconds of a revision's ordinary calls.
type Stretch struct {
	predict.Sample
	At     time.Time
	Failed float64 // calls that ended in 5xx
}

// Estimate is the safe rate of one pod, requests a second.
type Estimate struct {
	Known   bool        `json:"known" doc:"false: why says what is missing"`
	Safe    float64     `json:"safe_rate,omitempty"`
	Low     float64     `json:"low,omitempty"`
	High    float64     `json:"high,omitempty"`
	How     predict.How `json:"how" doc:"seen: pods had that rate; extrapolated: from less, by queueing models; scaled: a search of an earlier revision and how much longer calls take"`
	Highest float64     `json:"highest_seen" doc:"rate of a pod"`
	Calls   float64     `json:"calls" doc:"that it rests on"`
	Why     string      `json:"why,omitempty"`
}

// From here on an estimate is one: pods had this part of the rate, and the ends of the
// interval are not further apart than this.
const (
	leastLoad = 0.45
	mostWide  = 1.35
)

// Of judges the calls of one revision. dealers is how many threads of gateways deal
// calls out to pods in turn, workers how many calls a pod works on at a time, 0 when
// nobody knows, pods how many share the calls now.
func Of(all []Stretch, o api.Objective, dealers, workers int, pods float64) Estimate {
	var e Estimate
	for _, s := range all {
		e.Calls += s.Calls
		e.Highest = max(e.Highest, s.Rate)
	}
	bounds := boundsOf(o)
	if len(bounds) == 0 {
		return e.because("there is no objective for latency")
	}
	curve, err := predict.Fit(samples(all), dealers, workers)
	if err != nil {
		return e.because("%v", err)
	}
	r := curve.Within(bounds, pods)
	if most, ok := failing(all, o); ok && (most < r.Rate || r.How == predict.Unknown) {
		r = predict.Rate{Low: min(r.Low, most), Rate: most, High: min(max(r.High, most), 1.1*most), How: predict.Seen}
	}
	e.How = r.How
	switch {
	case r.How == predict.Seen && r.Rate <= 0:
		return e.because("the objective is not kept at any rate seen: %.1f/s and more", r.High)
	case r.How == predict.Unknown,
		r.How == predict.Extrapolated && (e.Highest < leastLoad*r.Rate || r.High > mostWide*r.Low):
		return e.because("not enough load to tell: highest seen %.1f/s", e.Highest)
	}
	e.Known, e.Safe, e.Low, e.High = true, tenth(r.Rate), tenth(r.Low), tenth(r.High)
	return e
}

func (e Estimate) because(format string, args ...any) Estimate {
	e.Why = fmt.Sprintf(format, args...)
	return e
}

func tenth(v float64) float64 { return math.Round(v*10) / 10 }

func boundsOf(o api.Objective) (all []predict.Bound) {
	for _, b := range []predict.Bound{{Quantile: 0.5, Latency: o.Latency.P50.Std()}, {Quantile: 0.9, Latency: o.Latency.P90.Std()}, {Quantile: 0.99, Latency: o.Latency.P99.Std()}} {
		if b.Latency > 0 {
			all = append(all, b)
		}
	}
	return all
}

// failing is the rate from which on more calls fail than the objective allows, beyond
// chance, while fewer did below it.
func failing(all []Stretch, o api.Objective) (rate float64, ok bool) {
	allowed := 1 - float64(o.Success)
	if o.Success <= 0 {
		return 0, false
	}
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b Stretch) int { return cmp.Compare(a.Rate, b.Rate) })
	const groups = 8
	for i := groups - 1; i > 0; i-- {
		part := sorted[i*len(sorted)/groups : (i+1)*len(sorted)/groups]
		var calls, failed float64
		for _, s := range part {
			calls, failed = calls+s.Calls, failed+s.Failed
		}
		if failed-4*math.Sqrt(failed) <= allowed*calls {
			break
		}
		rate, ok = part[0].Rate, true
	}
	return rate, ok
}
