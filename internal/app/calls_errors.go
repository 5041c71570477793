package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"

	client "github.com/kongdao/kongdao/internal/clickhouse"
)

// ErrorsQuery asks what goes wrong. Without a status it is failed ones.
type ErrorsQuery struct {
	CallFilter
	Limit int `query:"limit" default:"50" minimum:"1" maximum:"1000"`
}

// ErrorList is the answer to GET /calls/errors, the most frequent first.
type ErrorList struct {
	From     time.Time    `json:"from"`
	Until    time.Time    `json:"until"`
	Errors   []ErrorGroup `json:"errors"`
	RowsRead uint64       `json:"rows_read" doc:"rows that ClickHouse read for it"`
}

// ErrorGroup are calls of a function that went wrong in the same way.
type ErrorGroup struct {
	Function string    `json:"function"`
	Status   uint16    `json:"status" doc:"0: the client left before there was one"`
	Flags    string    `json:"flags"`
	Details  string    `json:"details" doc:"Envoy's response code details; empty: the pod answered so"`
	Calls    uint64    `json:"calls"`
	Share    float64   `json:"share" doc:"of all calls of the function in this time"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Example  string    `json:"example" doc:"request id of the last of them"`
}

func (s *System) getErrors(ctx context.Context, in *ErrorsQuery) (*body[ErrorList], error) {
	filter := in.ranged()
	all := filter
	all.Status = ""
	if filter.Status == "" {
		filter.Status = "failed"
	}
	f, err := filter.parse()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err := s.mayAsk(ctx, f.CallFilter); err != nil {
		return nil, err
	}
	list := ErrorList{From: f.Since, Until: f.Until, Errors: []ErrorGroup{}}
	read, err := s.errorGroups(ctx, f, in.Limit, &list)
	if err != nil {
		return nil, err
	}
	if len(list.Errors) == 0 {
		if err := s.known(ctx, f.CallFilter); err != nil {
			return nil, err
		}
	}
	more, err := s.shares(ctx, all, list.Errors)
	if err != nil {
		return nil, err
	}
	list.RowsRead = read.Rows + more.Rows
	return reply(list), nil
}

func (s *System) errorGroups(ctx context.Context, f parsedFilter, limit int, list *ErrorList) (client.Reading, error) {
	where := f.where()
	sql := `SELECT c.function AS function, c.status AS status, c.flags AS flags, c.attrs['response_code_details'] AS details,
sum(toUInt64(c.sample_weight)) AS calls, min(c.ts) AS first, max(c.ts) AS last, argMax(toString(c.request_id), c.ts) AS example
FROM calls AS c WHERE ` + where.String() + `
GROUP BY function, status, flags, details ORDER BY calls DESC, last DESC LIMIT {limit:UInt32}`
	type row struct {
		Function string    `ch:"function"`
		Status   uint16    `ch:"status"`
		Flags    string    `ch:"flags"`
		Details  string    `ch:"details"`
		Calls    uint64    `ch:"calls"`
		First    time.Time `ch:"first"`
		Last     time.Time `ch:"last"`
		Example  string    `ch:"example"`
	}
	args := append(where.args, clickhouse.Named("limit", fmt.Sprint(max(1, limit))))
	return s.question(ctx, sql, args, client.Each(func(r row) error {
		list.Errors = append(list.Errors, ErrorGroup{
			Function: valid(r.Function), Status: r.Status, Flags: valid(r.Flags), Details: valid(r.Details), Calls: r.Calls,
			First: r.First.UTC(), Last: r.Last.UTC(), Example: r.Example,
		})
		return nil
	}))
}

// shares fills in the shares of groups, which are of all calls that f chooses.
func (s *System) shares(ctx context.Context, f CallFilter, groups []ErrorGroup) (client.Reading, error) {
	if len(groups) == 0 {
		return client.Reading{}, nil
	}
	p, err := f.parse()
	if err != nil {
		return client.Reading{}, huma.Error422UnprocessableEntity(err.Error())
	}
	where := p.where()
	type row struct {
		Function string `ch:"function"`
		Calls    uint64 `ch:"calls"`
	}
	total := map[string]uint64{}
	r, err := s.question(ctx, "SELECT c.function AS function, sum(toUInt64(c.sample_weight)) AS calls FROM calls AS c WHERE "+where.String()+" GROUP BY function",
		where.args, client.Each(func(r row) error {
			total[valid(r.Function)] += r.Calls
			return nil
		}))
	for i, g := range groups {
		groups[i].Share = float64(g.Calls) / float64(max(1, g.Calls, total[g.Function]))
	}
	return r, err
}

// valid makes s fit for JSON.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
