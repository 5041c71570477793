package app

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/collector/completeness"
)

// The gateway's statistics that say how many calls it had, and a filter for them.
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

// Completeness is the answer to GET /completeness: what gateways counted against
// what is stored, a row a gateway and minute, oldest first.
type Completeness struct {
	Gateways []GatewayAccount   `json:"gateways" doc:"the rows summed up, by gateway"`
	Rows     []completeness.Row `json:"rows"`
}

// GatewayAccount is the sum of a gateway's rows.
type GatewayAccount struct {
	Gateway     string  `json:"gateway"`
	GatewayZone string  `json:"gateway_zone"`
	Calls       int64   `json:"calls" doc:"calls that there were, as far as anybody knows"`
	Missing     int64   `json:"missing" doc:"lost, unstored and estimated ones"`
	Late        int64   `json:"late" doc:"calls that are still expected"`
	Ratio       float64 `json:"ratio" doc:"share of calls that are not missing; 1 when there were none"`
}

type completenessInput struct {
	Since   time.Time `query:"since" doc:"rows that end after it; default: an hour ago"`
	Gateway string    `query:"gateway"`
	Lossy   bool      `query:"lossy" doc:"rows with calls that are missing or late, alone; then sums are theirs"`
	Limit   int       `query:"limit" default:"1000" minimum:"1" maximum:"100000" doc:"the newest rows"`
}

func (s *System) getCompleteness(ctx context.Context, in *completenessInput) (*body[Completeness], error) {
	if in.Since.IsZero() {
		in.Since = time.Now().Add(-time.Hour)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	rows, err := completeness.Read(ctx, s.ch, completeness.Query{Since: in.Since, Gateway: in.Gateway, Lossy: in.Lossy, Limit: in.Limit})
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return reply(sumUp(rows)), nil
}

// sumUp adds the rows of each gateway up.
func sumUp(rows []completeness.Row) Completeness {
	c := Completeness{Gateways: []GatewayAccount{}, Rows: rows}
	if rows == nil {
		c.Rows = []completeness.Row{}
	}
	at := map[string]int{}
	for _, r := range rows {
		i, known := at[r.Gateway]
		if !known {
			i = len(c.Gateways)
			at[r.Gateway] = i
			c.Gateways = append(c.Gateways, GatewayAccount{Gateway: r.Gateway})
		}
		g := &c.Gateways[i]
		g.GatewayZone = r.GatewayZone
		g.Calls += r.Calls()
		g.Missing += r.Missing()
		g.Late += r.Late
	}
	for i := range c.Gateways {
		g := &c.Gateways[i]
		g.Ratio = completeness.Ratio(g.Missing, g.Calls)
	}
	return c
}
