package app

import (
	"context"
	"maps"
	"slices"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/envoy"
)

// Info says what a system consists of.
type Info struct {
	Envoy              envoy.Binary `json:"envoy"`
	EnvoyRestarts      int          `json:"envoy_restarts"`
	ClickHouse         string       `json:"clickhouse"` // version
	ClickHouseRestarts int          `json:"clickhouse_restarts"`
}

// Info asks the running parts.
func (s *System) Info(ctx context.Context) Info {
	var i Info
	if s.gateway != nil {
		i.Envoy, i.EnvoyRestarts = s.gateway.Binary(), s.gateway.Restarts()
	}
	if s.engine != nil {
		i.ClickHouseRestarts = s.engine.Restarts()
	}
	if s.ch != nil {
		if err := s.ch.QueryRow(ctx, "SELECT version()").Scan(&i.ClickHouse); err != nil {
			i.ClickHouse = "does not answer"
		}
	}
	return i
}

// State is what the control plane knows and wants.
func (s *System) State() xds.State { return s.xds.State() }

// Problems are what keeps resource files from being applied.
func (s *System) Problems() api.Problems { return s.registry.Current().Problems }

// WaitLive waits until every gateway has every change that was made before.
func (s *System) WaitLive(ctx context.Context) error { return s.xds.WaitLive(ctx) }

// ClickHouse is the connection to the call logs; the System closes it.
func (s *System) ClickHouse() *clickhouse.Client { return s.ch }

// Drain waits until what the collector has read is stored.
func (s *System) Drain(ctx context.Context) error { return s.collector.Drain(ctx) }

// CollectorStats is the state of the collector.
func (s *System) CollectorStats() collector.Stats { return s.collector.Stats() }

// ClickHousePID is the process of the embedded engine; 0: it does not run.
func (s *System) ClickHousePID() int { return s.engine.PID() }

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
