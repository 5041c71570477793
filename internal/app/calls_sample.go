package app

import (
	"context"
	"fmt"
	"math"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/internal/calllog"
	client "github.com/kongdao/kongdao/internal/clickhouse"
)

// SampleQuery chooses stored calls to take a sample of.
type SampleQuery struct {
	CallFilter
	Calls int `query:"calls" default:"10000" minimum:"1" maximum:"100000" doc:"how many, about"`
}

// Sample is the answer to GET /calls/sample: oldest first.
type Sample struct {
	Calls []Call `json:"calls" doc:"sample_weight is how many calls each stands for"`

	Kept     []string `json:"kept" doc:"request headers that calls keep now"`
	IPv4Bits int      `json:"ipv4_bits" doc:"of client addresses that calls keep now"`
	IPv6Bits int      `json:"ipv6_bits"`
	RowsRead uint64   `json:"rows_read" doc:"rows that ClickHouse read for it"`
}

// getSample draws half of the sample from all calls alike, and half evenly from every
// function and status, so that rare ones are in it. A call is drawn by its id and
// time: the same question has the same answer.
func (s *System) getSample(ctx context.Context, in *SampleQuery) (*body[Sample], error) {
	f, err := in.ranged().parse()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err := s.mayAsk(ctx, f.CallFilter); err != nil {
		return nil, err
	}
	sample, err := s.sample(ctx, f, in.Calls)
	if err != nil {
		return nil, err
	}
	if len(sample.Calls) == 0 {
		if err := s.known(ctx, f.CallFilter); err != nil {
			return nil, err
		}
	}
	return reply(sample), nil
}

func (s *System) sample(ctx context.Context, f parsedFilter, calls int) (Sample, error) {
	c := s.cfg.Collector
	sample := Sample{Calls: []Call{}, Kept: append([]string{}, c.Headers...), IPv4Bits: c.ClientIP.IPv4Bits, IPv6Bits: c.ClientIP.IPv6Bits}
	sql, args := sampleSQL(f, calls)
	type drawn struct {
		Call
		OneIn uint64 `ch:"one_in"`
	}
	read, err := s.question(ctx, sql, args, client.Each(func(d drawn) error {
		d.Tidy()
		d.SampleWeight = uint32(min(uint64(max(d.SampleWeight, 1))*d.OneIn, math.MaxUint32))
		sample.Calls = append(sample.Calls, d.Call)
		return nil
	}))
	sample.RowsRead = read.Rows
	return sample, err
}

// sampleSQL draws about n of the calls that f chooses. Of a stratum, which is a
// function with a status, one call in m is drawn:
//
//	m = max(1, ⌈c / (n/2 · (1/S + c/C))⌉)
//
// where c is how many calls the stratum has, S how many strata there are, and C the
// calls of all. Each call that is drawn stands for m times its weight.
func sampleSQL(f parsedFilter, n int) (sql string, args []any) {
	where := f.where()
	sql = `WITH strata AS (SELECT c.function AS function, c.status AS status, count() AS calls FROM calls AS c WHERE ` + where.String() + ` GROUP BY c.function, c.status),
shares AS (SELECT function, status, toUInt64(greatest(1, ceil(calls / ({calls:Float64} / 2 * (1 / count() OVER () + calls / sum(calls) OVER ()))))) AS one_in FROM strata)
SELECT ` + calllog.CallColumns() + `, s.one_in AS one_in
FROM calls AS c INNER JOIN shares AS s ON c.function = s.function AND c.status = s.status
WHERE ` + where.String() + ` AND cityHash64(c.request_id, c.ts) % s.one_in = 0
ORDER BY c.ts, c.request_id LIMIT {most:UInt32}`
	return sql, append(where.args, clickhouse.Named("calls", fmt.Sprint(n)), clickhouse.Named("most", fmt.Sprint(2*n+100)))
}
