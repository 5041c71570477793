package app

import (
	"context"
	"errors"
	"time"

	"github.com/kongdao/kongdao/collector/completeness"
)

// counterNames are the gateway's statistics that say how many calls it had.
const (
	statTotal   = "http.gateway.downstream_rq_total"
	statActive  = "http.gateway.downstream_rq_active"
	statDropped = "access_logs.grpc_access_log.logs_dropped"
	statUptime  = "server.uptime"

	counterNames = `^(http\.gateway\.downstream_rq_(total|active)|access_logs\.grpc_access_log\.logs_dropped|server\.uptime)$`
)

var errNoGateway = errors.New("the gateway does not run")

// gatewayCounters is asked for by the collector, which starts before the gateway.
func (s *System) gatewayCounters(ctx context.Context) (c completeness.Sample, err error) {
	select {
	case <-s.gatewayUp:
	default:
		return c, errNoGateway
	}
	process := s.gateway.PID()
	if process == 0 {
		return c, errNoGateway
	}
	stats, err := s.gateway.Stats(ctx, counterNames)
	if err != nil {
		return c, err
	}
	if s.gateway.PID() != process {
		return c, errNoGateway // of which of the two are they?
	}
	return completeness.Sample{
		Gateway: s.cfg.Envoy.Node, Zone: s.cfg.Envoy.Zone,
		Total: uint64(stats[statTotal]), Active: uint64(stats[statActive]), Dropped: uint64(stats[statDropped]),
		Uptime: time.Duration(stats[statUptime]) * time.Second, Process: process, Ended: s.gateway.Ended(),
	}, nil
}
