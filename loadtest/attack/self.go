package attack

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// Self is what the generator's own process and machine were doing. What the system
// does not tell is 0.
type Self struct {
	CPU     float64       // share of its cores that the process used, 0 to 1
	Core    float64       // share of the busiest of its cores that was used by anybody
	Cores   float64       // share of all its cores that was used by anybody
	Waited  time.Duration // sum over threads that were ready to run and had no core
	Paused  time.Duration // in which garbage collection stopped the process
	Longest time.Duration // of these pauses
}

// reading is a state of counters that only grow.
type reading struct {
	at     time.Time
	cpu    time.Duration
	waited time.Duration
	cores  []coreTime
	pauses *metrics.Float64Histogram
}

// coreTime is what a core did since the machine was started, in ticks.
type coreTime struct{ busy, all uint64 }

const pausesMetric = "/sched/pauses/total/gc:seconds"

func read() reading {
	r := reading{at: time.Now(), cpu: cpuTime(), waited: waitedForCore(), cores: coreTimes()}
	sample := []metrics.Sample{{Name: pausesMetric}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindFloat64Histogram {
		h := sample[0].Value.Float64Histogram()
		r.pauses = &metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}
	}
	return r
}

// since is what happened from before to r.
func (r reading) since(before reading) Self {
	wall := r.at.Sub(before.at)
	if wall <= 0 {
		return Self{}
	}
	s := Self{
		CPU:    (r.cpu - before.cpu).Seconds() / wall.Seconds() / float64(runtime.GOMAXPROCS(0)),
		Waited: max(0, r.waited-before.waited), // a thread that ended takes its share away
	}
	s.Core, s.Cores = busy(before.cores, r.cores)
	s.Paused, s.Longest = paused(before.pauses, r.pauses)
	return s
}

func busy(before, now []coreTime) (most, all float64) {
	if len(before) != len(now) {
		return 0, 0 // a core was added or taken away
	}
	var sum coreTime
	for i := range now {
		d := coreTime{now[i].busy - before[i].busy, now[i].all - before[i].all}
		sum.busy, sum.all = sum.busy+d.busy, sum.all+d.all
		if d.all > 0 {
			most = max(most, float64(d.busy)/float64(d.all))
		}
	}
	if sum.all > 0 {
		all = float64(sum.busy) / float64(sum.all)
	}
	return most, all
}

// paused takes pauses as long as the middle of their bucket.
func paused(before, now *metrics.Float64Histogram) (sum, longest time.Duration) {
	if before == nil || now == nil || len(before.Counts) != len(now.Counts) {
		return 0, 0
	}
	for i, n := range now.Counts {
		n -= before.Counts[i]
		if n == 0 {
			continue
		}
		low, next := now.Buckets[i], now.Buckets[i+1]
		if math.IsInf(low, -1) {
			low = 0
		}
		if math.IsInf(next, 1) {
			next = low
		}
		d := time.Duration((low + next) / 2 * float64(time.Second))
		sum += time.Duration(n) * d
		longest = max(longest, d)
	}
	return sum, longest
}

// watch looks at the process once an interval, until the run has ended.
func (t *timeline) watch(began time.Time, ended <-chan struct{}) {
	ticker := time.NewTicker(t.length)
	defer ticker.Stop()
	last := read()
	for {
		select {
		case <-ended:
		case <-ticker.C:
		}
		now := read()
		middle := last.at.Add(now.at.Sub(last.at) / 2)
		t.at(middle.Sub(began)).self = now.since(last)
		last = now
		select {
		case <-ended:
			return
		default:
		}
	}
}
