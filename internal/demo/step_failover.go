package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// lostZone is the zone that the demo kills, by its place in fleet.Zones.
const lostZone = 1

func (w *walk) failOver(ctx context.Context, s *Step) error {
	before := w.limit()
	rate := before / 3 // half of what the other two zones may take
	g, err := w.feedTraffic(rate, 256)
	if err != nil {
		return err
	}
	err = w.loseZone(ctx, s, before)
	c := g.Stop()
	w.others += c.Sent
	if err != nil {
		return err
	}
	if _, err := w.logged(ctx, w.sent.Sent+w.others); err != nil {
		return err
	}
	switched, err := w.switchTime(ctx)
	if err != nil {
		return err
	}
	users := w.users.Counts()
	s.figure("requests under the loss", float64(c.Sent), "requests", "%d to the feed at %.0f/s (and all other functions)", c.Sent, rate)
	s.figure("failed requests", float64(c.Failed), "requests", "%d", c.Failed)
	s.figure("other zones serve all after", switched.Seconds(), "s", "%.0f ms (until then calls were tried again elsewhere)", switched.Seconds()*1000)
	s.must(c.Failed == 0, "%d requests failed, first: %s", c.Failed, c.FirstFailure)
	// Half of the limit is offered; what a hiccup of the machine sends at once may
	// still exceed the bucket's burst.
	s.figure("refused meanwhile", float64(c.Refused), "requests", "%d", c.Refused)
	// Where the machine stalls for a moment, what waited arrives as one burst, which
	// a limit rightly cuts: a few per cent are no fault of the loss.
	s.must(c.Refused*20 <= c.Sent, "%d of %d requests were refused at half of the limit", c.Refused, c.Sent)
	s.must(users.Failed == 0, "%d background calls failed, first: %s", users.Failed, users.FirstFailure)
	s.Charts = append(s.Charts, chart("Calls to the feed while a zone is lost", c))
	return nil
}

// loseZone kills a zone under load and watches the limit follow.
func (w *walk) loseZone(ctx context.Context, s *Step, before float64) error {
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	zone := w.zones[lostZone]
	pid := zone.PID()
	w.loss = time.Now()
	zone.Kill()
	w.progress("SIGKILL to zone %s (process %d)", zone.Spec.Zone, pid)
	left := before * float64(len(w.zones)-1) / float64(len(w.zones))
	if err := until(ctx, 10*time.Second, func() (bool, error) { return w.limit() < left+1, nil }); err != nil {
		return fmt.Errorf("the limit follows the loss: %w", err)
	}
	followed := time.Since(w.loss)
	s.figure("limit before and after", w.limit(), "requests/s", "%.0f/s → %.0f/s, %.1f s after the kill", before, w.limit(), followed.Seconds())
	s.must(w.limit() < before, "the limit did not follow the pods")
	return pause(ctx, 4*time.Second)
}

// switchTime is when the last call of any function touched the lost zone.
func (w *walk) switchTime(ctx context.Context) (time.Duration, error) {
	var last int64
	err := w.system.ClickHouse().QueryRow(ctx, `SELECT toUnixTimestamp64Micro(max(ts)) FROM calls
WHERE load_test = '' AND ts >= fromUnixTimestamp64Micro(?) AND (zone = ? OR attempts > 1)`, w.loss.UnixMicro(), fleet.Zones()[lostZone]).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("read the call log: %w", err)
	}
	return max(0, time.UnixMicro(last).Sub(w.loss)), nil
}
