package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/internal/demo/traffic"
)

const (
	overloadFor = 9 * time.Second
	// tolerance of the limit per pod and second: the bucket's burst, and one
	// request of rounding between pods.
	tolerance = 1.05
	pods      = 6 // of the feed
)

func (w *walk) enforce(ctx context.Context, s *Step) error {
	limit := w.limit()
	w.overload = time.Now()
	e, c, err := w.overloaded(ctx, limit)
	if err != nil {
		return err
	}
	if !e.held(limit) {
		// Twice the limit takes most of a small machine. A second of somebody else's
		// work there shows in one measurement, a fault in both.
		w.progress("max %d a pod and second, p99 %.0f ms: measured once more", e.Max, float64(e.P99)/1000)
		s.figure("measured twice, the first time", float64(e.P99)/1000, "ms", "p99 %.0f ms, at most %d a pod and second", float64(e.P99)/1000, e.Max)
		if e, c, err = w.overloaded(ctx, limit); err != nil {
			return err
		}
	}
	perPod := limit / pods
	s.figure("offered", e.perSecond(e.Offered), "requests/s", "%.0f/s for %.0f s, %d requests", e.perSecond(e.Offered), e.seconds, e.Offered)
	s.figure("limit", limit, "requests/s", "%.0f/s = %d pods × %.1f/s", limit, pods, perPod)
	s.figure("admitted", e.perSecond(e.Admitted), "requests/s", "%.0f/s", e.perSecond(e.Admitted))
	s.figure("admitted a pod and second, max", float64(e.Max), "requests", "%d (%.2f of the limit)", e.Max, float64(e.Max)/perPod)
	s.figure("refused with 429", float64(e.Refused), "requests", "%d (%.0f %%)", e.Refused, 100*float64(e.Refused)/float64(e.Offered))
	s.figure("p99 of the admitted", float64(e.P99)/1000, "ms", "%.0f ms (objective %v)", float64(e.P99)/1000, fleet.Objective)
	s.must(e.Refused > 0, "nothing was refused")
	s.must(c.Failed == 0, "%d requests failed, first: %s", c.Failed, c.FirstFailure)
	s.must(e.evenly(limit), "a pod got %d requests in a second, the limit is %.1f", e.Max, perPod)
	s.must(e.quickly(), "p99 of the admitted is %.0f ms, above the objective", float64(e.P99)/1000)
	s.Charts = append(s.Charts, chart("Offered, admitted and refused", c))
	return nil
}

// overloaded offers twice the limit for a while and reads what became of it.
func (w *walk) overloaded(ctx context.Context, limit float64) (e enforcement, c traffic.Counts, err error) {
	from := time.Now()
	g, err := w.feedTraffic(2*limit, 512)
	if err != nil {
		return e, c, err
	}
	w.progress("%.0f/s offered, limit %.0f/s", 2*limit, limit)
	err = pause(ctx, overloadFor)
	c = g.Stop()
	w.others += c.Sent
	if err != nil {
		return e, c, err
	}
	w.calm = time.Now()
	if _, err := w.logged(ctx, w.sent.Sent+w.others); err != nil {
		return e, c, err
	}
	e, err = w.enforced(ctx, from, w.calm)
	return e, c, err
}

// enforcement is what the call log says of a stretch of overload.
type enforcement struct {
	Offered, Admitted, Refused, Max, P99 uint64
	seconds                              float64
}

// held says that the gateway kept every pod within its limit and its objective.
func (e enforcement) held(limit float64) bool { return e.evenly(limit) && e.quickly() }

func (e enforcement) evenly(limit float64) bool { return float64(e.Max) <= tolerance*limit/pods+1 }

func (e enforcement) quickly() bool {
	return time.Duration(e.P99)*time.Microsecond <= fleet.Objective
}

func (e enforcement) perSecond(n uint64) float64 { return float64(n) / e.seconds }

// enforced reads the call log, not the client: what the gateway did is what counts.
func (w *walk) enforced(ctx context.Context, from, to time.Time) (enforcement, error) {
	e := enforcement{seconds: to.Sub(from).Seconds()}
	const where = ` FROM calls WHERE function = ? AND load_test = '' AND ts >= fromUnixTimestamp64Micro(?) AND ts < fromUnixTimestamp64Micro(?)`
	args := []any{fleet.Feed, from.UnixMicro(), to.UnixMicro()}
	ch := w.system.ClickHouse()
	err := ch.QueryRow(ctx, `SELECT count(), countIf(limited_by = ''), countIf(limited_by != ''), toUInt64(quantileExactIf(0.99)(duration_us, limited_by = ''))`+where, args...).
		Scan(&e.Offered, &e.Admitted, &e.Refused, &e.P99)
	if err != nil {
		return e, fmt.Errorf("read the call log: %w", err)
	}
	err = ch.QueryRow(ctx, `SELECT max(n) FROM (SELECT pod, toStartOfSecond(ts) AS second, count() AS n`+where+` AND limited_by = '' GROUP BY pod, second)`, args...).Scan(&e.Max)
	if err != nil {
		return e, fmt.Errorf("read the call log: %w", err)
	}
	return e, nil
}

// chart draws what users saw, second by second, whole seconds alone.
func chart(title string, c traffic.Counts) Chart {
	seconds := slices.Sorted(maps.Keys(c.Seconds))
	sent, ok, refused, failed := Series{Name: "offered"}, Series{Name: "answered"}, Series{Name: "refused"}, Series{Name: "failed"}
	for i, t := range seconds {
		if i == 0 || i == len(seconds)-1 {
			continue
		}
		x, v := float64(t-seconds[0]), c.Seconds[t]
		sent.Points = append(sent.Points, Point{x, float64(v.Sent)})
		ok.Points = append(ok.Points, Point{x, float64(v.OK)})
		refused.Points = append(refused.Points, Point{x, float64(v.Refused)})
		failed.Points = append(failed.Points, Point{x, float64(v.Failed)})
	}
	return Chart{Title: title, YLabel: "requests a second", Series: []Series{sent, ok, refused, failed}}
}
