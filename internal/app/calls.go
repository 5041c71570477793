package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/danielgtaylor/huma/v2"
)

// Call is one stored call.
type Call struct {
	TS         time.Time         `ch:"ts" json:"ts"`
	RequestID  string            `ch:"request_id" json:"request_id"`
	TraceID    string            `ch:"trace_id" json:"trace_id,omitempty"`
	Gateway    string            `ch:"gateway" json:"gateway"`
	Function   string            `ch:"function" json:"function"`
	Revision   string            `ch:"revision" json:"revision"`
	Route      string            `ch:"route" json:"route"`
	Zone       string            `ch:"zone" json:"zone"`
	Pod        string            `ch:"pod" json:"pod"`
	Method     string            `ch:"method" json:"method"`
	Host       string            `ch:"host" json:"host"`
	Path       string            `ch:"path" json:"path"`
	Status     uint16            `ch:"status" json:"status"`
	Flags      string            `ch:"flags" json:"flags"`
	DurationUS uint32            `ch:"duration_us" json:"duration_us"`
	UpstreamUS uint32            `ch:"upstream_us" json:"upstream_us"`
	Attempts   uint8             `ch:"attempts" json:"attempts"`
	Consumer   string            `ch:"consumer" json:"consumer"`
	LimitedBy  string            `ch:"limited_by" json:"limited_by"`
	LoadTest   string            `ch:"load_test" json:"load_test,omitempty"`
	Attrs      map[string]string `ch:"attrs" json:"attrs,omitempty"`
}

// CallList is the answer to GET /calls: oldest first.
type CallList struct {
	Calls []Call `json:"calls"`
}

// CallQuery chooses stored calls. Zero fields choose all.
type CallQuery struct {
	Function  string    `query:"function"`
	Revision  string    `query:"revision"`
	Zone      string    `query:"zone"`
	Status    string    `query:"status" pattern:"^([1-5]xx|[1-5][0-9][0-9])?$" doc:"such as 429 or 5xx"`
	RequestID string    `query:"request_id" format:"uuid"`
	Since     time.Time `query:"since" doc:"after this time; default: 15 minutes ago"`
	Slowest   bool      `query:"slowest" doc:"the slowest instead of the newest"`
	LoadTest  bool      `query:"load_test" doc:"calls of load tests, too"`
	Limit     int       `query:"limit" default:"50" minimum:"1" maximum:"10000"`
}

func (s *System) getCalls(ctx context.Context, in *CallQuery) (*body[CallList], error) {
	calls, err := s.Calls(ctx, *in)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return reply(CallList{Calls: calls}), nil
}

// callsTimeout bounds a question of a person; a stuck one must not hold ClickHouse.
const callsTimeout = 20 * time.Second

// Calls are stored calls, oldest first.
func (s *System) Calls(ctx context.Context, q CallQuery) ([]Call, error) {
	ctx, cancel := context.WithTimeout(ctx, callsTimeout)
	defer cancel()
	where, args := q.where()
	order := "ts DESC"
	if q.Slowest {
		order = "duration_us DESC"
	}
	query := `SELECT ts, toString(request_id) AS request_id, if(trace_id = toFixedString('', 16), '', lower(hex(trace_id))) AS trace_id,
	gateway, function, revision, route, zone, pod, method, host, path, status, flags, duration_us, upstream_us, attempts, consumer,
	limited_by, load_test, attrs
FROM (SELECT * FROM calls WHERE ` + where + ` ORDER BY ` + order + ` LIMIT {limit:UInt32}) ORDER BY ts`
	calls := []Call{}
	if err := s.ch.Select(ctx, &calls, query, append(args, clickhouse.Named("limit", fmt.Sprint(max(1, q.Limit))))...); err != nil {
		return nil, fmt.Errorf("read calls: %w", err)
	}
	return calls, nil
}

// where is the condition of a query and its parameters. Only parameters hold what
// users wrote.
func (q CallQuery) where() (string, []any) {
	if q.Since.IsZero() && q.RequestID == "" {
		q.Since = time.Now().Add(-15 * time.Minute)
	}
	conditions := []string{"ts > fromUnixTimestamp64Micro({since:Int64})"}
	args := []any{clickhouse.Named("since", fmt.Sprint(max(0, q.Since.UnixMicro())))}
	add := func(name, condition, value string) {
		if value != "" {
			conditions = append(conditions, condition)
			args = append(args, clickhouse.Named(name, value))
		}
	}
	add("function", "function = {function:String}", q.Function)
	add("revision", "revision = {revision:String}", q.Revision)
	add("zone", "zone = {zone:String}", q.Zone)
	add("request", "request_id = {request:UUID}", q.RequestID)
	if class, ok := strings.CutSuffix(q.Status, "xx"); ok {
		add("class", "intDiv(status, 100) = {class:UInt16}", class)
	} else {
		add("status", "status = {status:UInt16}", q.Status)
	}
	if !q.LoadTest {
		conditions = append(conditions, "load_test = ''")
	}
	return strings.Join(conditions, " AND "), args
}
