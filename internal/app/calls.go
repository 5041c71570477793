package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/internal/calllog"
	client "github.com/kongdao/kongdao/internal/clickhouse"
)

// callRoutes are the questions about calls, for readers.
func (s *System) callRoutes(whole huma.API) {
	h := huma.NewGroup(whole)
	h.UseMiddleware(forReaders(whole))
	huma.Get(h, "/api/v1/calls", s.getCalls)
	huma.Get(h, "/api/v1/calls/sample", s.getSample)
	huma.Get(h, "/api/v1/calls/top", s.getTop)
	huma.Get(h, "/api/v1/calls/errors", s.getErrors)
	huma.Get(h, "/api/v1/calls/rate", s.getRate)
	huma.Register(h, sqlOperation(), s.postSQL)
	huma.Register(h, tailOperation(whole.OpenAPI().Components.Schemas), s.getTail)
}

// Call is one call.
type Call = calllog.Call

// CallList is the answer to GET /calls: oldest first.
type CallList struct {
	Calls    []Call `json:"calls"`
	RowsRead uint64 `json:"rows_read" doc:"rows that ClickHouse read for it"`
}

// recently is how far back questions reach that do not say it.
const recently = 15 * time.Minute

// CallQuery chooses stored calls.
type CallQuery struct {
	CallFilter
	Slowest bool `query:"slowest" doc:"the slowest instead of the newest"`
	Limit   int  `query:"limit" default:"50" minimum:"1" maximum:"10000"`
}

func (s *System) getCalls(ctx context.Context, in *CallQuery) (*body[CallList], error) {
	f, err := in.sinceOr(time.Now().Add(-recently)).parse()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err := s.mayAsk(ctx, f.CallFilter); err != nil {
		return nil, err
	}
	list := CallList{Calls: []Call{}}
	read, err := s.stored(ctx, f, in.Slowest, in.Limit, func(c Call) error {
		list.Calls = append(list.Calls, c)
		return nil
	})
	if err != nil {
		return nil, answerOf(err)
	}
	if len(list.Calls) == 0 {
		if err := s.known(ctx, f.CallFilter); err != nil {
			return nil, err
		}
	}
	if in.Slowest {
		slices.SortStableFunc(list.Calls, func(a, b Call) int { return a.Time.Compare(b.Time) })
	} else {
		slices.Reverse(list.Calls)
	}
	list.RowsRead = read.Rows
	return reply(list), nil
}

// stored gives stored calls, newest or slowest first.
func (s *System) stored(ctx context.Context, f parsedFilter, slowest bool, limit int, each func(Call) error) (client.Reading, error) {
	where := f.where()
	order := "c.ts DESC, c.request_id"
	if slowest {
		order = "c.duration_us DESC, " + order
	}
	where.args = append(where.args, clickhouse.Named("limit", fmt.Sprint(max(1, limit))))
	sql := "SELECT " + calllog.CallColumns() + " FROM calls AS c WHERE " + where.String() +
		" ORDER BY " + order + " LIMIT {limit:UInt32}"
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	return s.ask(ctx, sql, where.args, client.Each(func(c Call) error {
		c.Tidy()
		return each(c)
	}))
}
