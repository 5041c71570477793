package app

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"

	client "github.com/kongdao/kongdao/internal/clickhouse"
)

// TopQuery asks which have the most.
type TopQuery struct {
	CallFilter
	By    string `query:"by" default:"function" enum:"function,tenant,revision,zone,pod,gateway,consumer,path,method,host,user_agent,client_ip,status,flags,limited_by"`
	Sort  string `query:"sort" default:"calls" enum:"calls,errors,refused,p50,p99,bytes"`
	Limit int    `query:"limit" default:"20" minimum:"1" maximum:"1000"`
}

// Top is the answer to GET /calls/top, the most first.
type Top struct {
	By       string    `json:"by"`
	Sort     string    `json:"sort"`
	From     time.Time `json:"from" doc:"where the counts begin: a rollup counts its first interval whole"`
	Until    time.Time `json:"until"`
	Rows     []TopRow  `json:"rows"`
	Source   string    `json:"source" doc:"table that answered"`
	RowsRead uint64    `json:"rows_read" doc:"rows that ClickHouse read for it"`
}

// TopRow sums up the calls of one.
type TopRow struct {
	Key string `json:"key"`
	Measures
}

// dimension is what calls can be counted by.
type dimension struct {
	key    string // expression
	rolled bool   // rollups have it, too
}

func dimensionOf(by string) dimension {
	switch by {
	case "function", "tenant", "zone":
		return dimension{"c." + by, true}
	case "revision": // r1 of one function is not r1 of another
		return dimension{"concat(c.function, '/', c.revision)", true}
	case "status":
		return dimension{"toString(c.status)", true}
	case "path":
		return dimension{"cutQueryString(c.path)", false}
	case "client_ip":
		return dimension{"replaceRegexpOne(toString(c.client_ip), '^::ffff:', '')", false}
	}
	return dimension{"c." + by, false}
}

func sortOf(by string) string {
	switch by {
	case "p50":
		return "quantiles[1]"
	case "p99":
		return "quantiles[3]"
	case "bytes":
		return "bytes_in + bytes_out"
	}
	return by // calls, errors, refused
}

func (s *System) getTop(ctx context.Context, in *TopQuery) (*body[Top], error) {
	f, err := in.ranged().parse()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err := s.mayAsk(ctx, f.CallFilter); err != nil {
		return nil, err
	}
	by, from := dimensionOf(in.By), singleCalls
	if by.rolled && in.Sort != "" {
		from = f.sourceFor(0)
	}
	top := Top{By: in.By, Sort: in.Sort, From: from.from(f), Until: f.Until, Rows: []TopRow{}, Source: from.table}
	where := from.where(f)
	sql := "SELECT " + columnsOf(by.key+" AS key", from.measures()) + "\nFROM " + from.table + " AS c WHERE " + where.String() +
		"\nGROUP BY key ORDER BY " + sortOf(in.Sort) + " DESC, calls DESC, key LIMIT {limit:UInt32}"
	args := append(where.args, clickhouse.Named("limit", fmt.Sprint(max(1, in.Limit))))
	type row struct {
		Key string `ch:"key"`
		measured
	}
	read, err := s.question(ctx, sql, args, client.Each(func(r row) error {
		top.Rows = append(top.Rows, TopRow{valid(r.Key), r.measures()})
		return nil
	}))
	if err != nil {
		return nil, err
	}
	if len(top.Rows) == 0 {
		if err := s.known(ctx, f.CallFilter); err != nil {
			return nil, err
		}
	}
	top.RowsRead = read.Rows
	return reply(top), nil
}
