package collector

import (
	"context"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/collector/als"
	"github.com/kongdao/kongdao/collector/completeness"
	"github.com/kongdao/kongdao/internal/calllog"
)

// openCompleteness prepares what compares gateways' counters with their logs.
func (c *Collector) openCompleteness(reg prometheus.Registerer) (err error) {
	c.complete, err = completeness.New(c.cfg.completeness(), c.client, completeness.State{
		Through: c.through,
		Oldest:  func() time.Time { return c.wal.Stats().Oldest },
	}, c.log, reg)
	return err
}

func (c Config) completeness() completeness.Config {
	cfg := completeness.DefaultConfig()
	cfg.Horizon = c.Horizon.Std()
	if c.Counters != nil {
		cfg.Polls = append(cfg.Polls, c.Counters)
	}
	for _, f := range c.Files {
		if f.Admin != "" && c.Source.file() {
			cfg.Polls = append(cfg.Polls, f.counters(c.StatPrefix))
		}
	}
	return cfg
}

// counters reads those of the gateway that writes the file.
func (f File) counters(statPrefix string) completeness.Poll {
	poll, source := completeness.FromAdmin(f.Admin, statPrefix), f.source()
	return func(ctx context.Context) (completeness.Sample, error) {
		s, err := poll(ctx)
		s.Gateway, s.Zone = source.Gateway, source.GatewayZone
		return s, err
	}
}

// through is up to when all that a gateway told of has been read. While the
// write-ahead log takes nothing, streams stand still, and afterwards they have to
// catch up.
func (c *Collector) through(gateway string) time.Time {
	now := time.Now()
	if c.wal.Stats().Waiting != "" {
		c.stood.Store(&now)
	}
	if c.tailer != nil {
		if at, known := c.tailer.Through(gateway); known {
			return at
		}
	}
	if stood := c.stood.Load(); stood != nil && now.Sub(*stood) < c.cfg.Horizon.Std() {
		return time.Time{}
	}
	return now
}

// counted counts calls on their way into a batch, by when they ended.
func (c *Collector) counted(b *batch, calls iter.Seq[*calllog.Record]) iter.Seq[*calllog.Record] {
	return func(yield func(*calllog.Record) bool) {
		reading := c.complete.Read()
		defer reading.Done()
		for r := range calls {
			before := b.Rows()
			if !yield(r) {
				return
			}
			reading.Add(r, b.Rows()-before)
		}
	}
}

// counting takes the counters of gateways that send them.
func (c *Collector) counting() als.Counting {
	return als.Counting{
		Heard: func(n als.Counters) {
			c.complete.Sample(completeness.Sample{
				Gateway: n.Gateway, Zone: n.Zone, Time: n.Time, Total: n.Total, Active: n.Active, Dropped: n.Dropped, Uptime: n.Uptime,
				Took: 2 * als.Guard,
			})
		},
		Gone: c.complete.Gone,
	}
}
