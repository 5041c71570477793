package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// DeadLetters are the blocks that ClickHouse refused for good, and why.
func (c *Collector) DeadLetters() ([]ship.DeadLetter, error) { return c.shipper.DeadLetters() }

// Replay sends dead letters again, all when no tokens are given; see
// ship.Shipper.Replay. It works while Run runs.
func (c *Collector) Replay(ctx context.Context, tokens []string) ([]ship.Replayed, error) {
	return c.shipper.Replay(ctx, tokens)
}

// ReplayIn is Replay for the folder of a collector that does not run, which nobody
// else may start meanwhile.
func ReplayIn(ctx context.Context, cfg Config, server clickhouse.Options, tokens []string) (done []ship.Replayed, err error) {
	client, err := clickhouse.New(server)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	s, err := ship.New(cfg.ship(), ship.Calls(), nil, client, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Replay(ctx, tokens)
}
