package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/kongdao/kongdao/collector/otlp"
	client "github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/fnlog"
)

// startOTLP starts the receiver of functions' own log records, beside the collector.
func (s *System) startOTLP() error {
	cfg := otlp.DefaultConfig()
	cfg.Dir = s.dir.sub("collector")
	cfg.ListenGRPC, cfg.ListenHTTP = s.cfg.Listen.OTLPGRPC, s.cfg.Listen.OTLPHTTP
	cfg.Redact = s.cfg.Collector.Policy()
	r, err := otlp.New(cfg, s.chOptions, s.log.With("part", "otlp"), s.reg)
	if err != nil {
		return err
	}
	s.addresses.OTLPGRPC, s.addresses.OTLPHTTP = r.AddrGRPC(), r.AddrHTTP()
	s.otlp = r
	s.life.start("otlp", r.Run)
	return nil
}

// functionLogRoutes are the questions about log records of functions, for readers.
func (s *System) functionLogRoutes(whole huma.API) {
	h := huma.NewGroup(whole)
	h.UseMiddleware(forReaders(whole))
	huma.Get(h, "/api/v1/function-logs", s.getFunctionLogs)
}

// FunctionLogQuery chooses log records of functions. Zero fields choose all.
type FunctionLogQuery struct {
	Function  string    `query:"function"`
	Tenant    string    `query:"tenant"`
	Revision  string    `query:"revision"`
	Zone      string    `query:"zone"`
	Pod       string    `query:"pod"`
	Severity  string    `query:"severity" enum:"trace,debug,info,warn,error,fatal" doc:"at least as severe"`
	Text      string    `query:"text" doc:"a part of the message, in upper or lower case"`
	RequestID string    `query:"request_id" format:"uuid" doc:"records of this call: by its id or by its trace; without since, however long ago"`
	TraceID   string    `query:"trace_id" doc:"32 hex digits: records of this trace, or of its calls; without since, however long ago"`
	Since     time.Time `query:"since" doc:"after it; default: 15 minutes ago"`
	Until     time.Time `query:"until" doc:"at it or before; default: now"`
	Limit     int       `query:"limit" default:"100" minimum:"1" maximum:"10000" doc:"the newest ones"`
}

// FunctionLogs is the answer to GET /function-logs: oldest first.
type FunctionLogs struct {
	Logs     []fnlog.Line `json:"logs"`
	RowsRead uint64       `json:"rows_read" doc:"rows that ClickHouse read for it"`
}

func (s *System) getFunctionLogs(ctx context.Context, in *FunctionLogQuery) (*body[FunctionLogs], error) {
	calls, err := in.calls()
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err := s.mayAsk(ctx, calls.CallFilter); err != nil {
		return nil, err
	}
	list := FunctionLogs{Logs: []fnlog.Line{}}
	ids, err := s.idsOf(ctx, calls, &list)
	if err != nil {
		return nil, err
	}
	where := in.where(ids)
	where.args = append(where.args, clickhouse.Named("limit", fmt.Sprint(in.Limit)))
	sql := "SELECT " + fnlog.LineColumns() + " FROM " + fnlog.Table + " AS l WHERE " + where.String() +
		" ORDER BY l.ts DESC LIMIT {limit:UInt32}"
	read, err := s.question(ctx, sql, where.args, client.Each(func(l fnlog.Line) error {
		l.Tidy()
		list.Logs = append(list.Logs, l)
		return nil
	}))
	if err != nil {
		return nil, err
	}
	slices.Reverse(list.Logs)
	list.RowsRead += read.Rows
	if len(list.Logs) == 0 {
		err = s.known(ctx, calls.CallFilter)
	}
	return reply(list), err
}

// calls is the filter of the calls that the records belong to.
func (q FunctionLogQuery) calls() (parsedFilter, error) {
	return CallFilter{Function: q.Function, Tenant: q.Tenant, RequestID: q.RequestID, TraceID: q.TraceID, Since: q.Since, Until: q.Until}.parse()
}

// callIDs are what log records may name a call by.
type callIDs struct{ requests, traces []string }

// maxJoined bounds the calls of one trace that records are looked for.
const maxJoined = 1000

// idsOf finds by what records may name the calls that are asked for: a function may
// know the trace, or the request id alone.
func (s *System) idsOf(ctx context.Context, f parsedFilter, list *FunctionLogs) (ids callIDs, err error) {
	if !f.byID() {
		return ids, nil
	}
	if f.RequestID != "" {
		ids.requests = append(ids.requests, uuid.UUID(f.requestID).String())
	}
	if f.TraceID != "" {
		ids.traces = append(ids.traces, hex.EncodeToString(f.traceID[:]))
	}
	if f.RequestID != "" && f.TraceID != "" {
		return ids, nil
	}
	f.Function, f.Tenant = "", "" // a trace goes through many functions
	f.Since, f.Until = time.Time{}, time.Time{}
	where := f.where()
	type call struct {
		Request string `ch:"request"`
		Trace   string `ch:"trace"`
	}
	sql := "SELECT DISTINCT toString(c.request_id) AS request, lower(hex(c.trace_id)) AS trace FROM calls AS c WHERE " +
		where.String() + fmt.Sprintf(" LIMIT %d", maxJoined)
	read, err := s.question(ctx, sql, where.args, client.Each(func(c call) error {
		ids.add(c.Request, c.Trace)
		return nil
	}))
	list.RowsRead += read.Rows
	return ids, err
}

func (ids *callIDs) add(request, trace string) {
	if uuid.MustParse(request) != (uuid.UUID{}) && !slices.Contains(ids.requests, request) {
		ids.requests = append(ids.requests, request)
	}
	if strings.Trim(trace, "0") != "" && !slices.Contains(ids.traces, trace) {
		ids.traces = append(ids.traces, trace)
	}
}

// where is the condition of a query FROM function_logs AS l. Without an id it is
// about the last minutes, unless it says since when.
func (q FunctionLogQuery) where(ids callIDs) condition {
	byID := q.RequestID != "" || q.TraceID != ""
	if q.Since.IsZero() && !byID {
		q.Since = time.Now().Add(-recently)
	}
	c := condition{all: []string{"1"}}
	for _, n := range []struct{ column, value string }{
		{"function", q.Function}, {"tenant", q.Tenant}, {"revision", q.Revision}, {"zone", q.Zone}, {"pod", q.Pod},
	} {
		c.set(n.column, "l."+n.column+" = {"+n.column+":String}", n.value)
	}
	if i := slices.Index(fnlog.SeverityNames(), q.Severity); i >= 0 {
		c.set("severity", "l.severity >= {severity:UInt8}", fmt.Sprint(4*i+1))
	}
	c.set("text", "positionCaseInsensitiveUTF8(l.body, {text:String}) > 0", q.Text)
	c.micros("since", "l.ts > fromUnixTimestamp64Micro({since:Int64})", q.Since)
	c.micros("until", "l.ts <= fromUnixTimestamp64Micro({until:Int64})", q.Until)
	if byID {
		c.ids(ids)
	}
	return c
}

// ids are of records that name one of the requests or of the traces.
func (c *condition) ids(ids callIDs) {
	var either []string
	if len(ids.requests) > 0 {
		either = append(either, "l.request_id IN ({requests:Array(UUID)})")
		c.args = append(c.args, clickhouse.Named("requests", quoted(ids.requests)))
	}
	if len(ids.traces) > 0 {
		either = append(either, "l.trace_id IN (SELECT toFixedString(unhex(t), 16) FROM (SELECT arrayJoin({traces:Array(String)}) AS t))")
		c.args = append(c.args, clickhouse.Named("traces", quoted(ids.traces)))
	}
	c.add("(" + strings.Join(either, " OR ") + ")")
}

// quoted is an array of texts that need no escaping.
func quoted(texts []string) string { return "['" + strings.Join(texts, "','") + "']" }
