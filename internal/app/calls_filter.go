package app

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/calllog"
)

// CallFilter chooses calls, live ones and stored ones alike. Zero fields choose all,
// but for calls of load tests.
type CallFilter struct {
	Function    string    `query:"function"`
	Tenant      string    `query:"tenant"`
	Revision    string    `query:"revision"`
	Zone        string    `query:"zone" doc:"of the pod that answered"`
	Pod         string    `query:"pod" doc:"address of the pod that answered"`
	Gateway     string    `query:"gateway" doc:"node id of the gateway"`
	Consumer    string    `query:"consumer"`
	Method      string    `query:"method"`
	Host        string    `query:"host"`
	PathPrefix  string    `query:"path_prefix"`
	Path        string    `query:"path" doc:"a part of the path or of its query"`
	Status      string    `query:"status" doc:"429, 5xx, >=400, 400-499, or failed: 400 and above, and calls that the client left"`
	LimitedBy   string    `query:"limited_by" doc:"the limit that refused the call, such as capacity; any: one of them"`
	MinDuration string    `query:"min_duration" doc:"such as 250ms"`
	RequestID   string    `query:"request_id" format:"uuid" doc:"this call; without since, however long ago"`
	TraceID     string    `query:"trace_id" doc:"32 hex digits: the calls of this trace; without since, however long ago"`
	LoadRun     string    `query:"load_run" doc:"calls of this run of a load test alone"`
	LoadTest    bool      `query:"load_test" doc:"calls of load tests, too"`
	Since       time.Time `query:"since" doc:"calls that began after it; default: a while ago, as the operation says"`
	Until       time.Time `query:"until" doc:"calls that began at it or before; default: now"`
}

// anyLimit as LimitedBy chooses calls that any limit refused.
const anyLimit = "any"

// statusRange is a range of status codes, both ends in it.
type statusRange struct{ from, to uint16 }

var statusPattern = regexp.MustCompile(`^(?:([1-5])xx|(>=|<=|>|<)?([0-9]{1,3})|([0-9]{1,3})-([0-9]{1,3}))$`)

// statuses reads a Status; empty means all.
func statuses(text string) ([]statusRange, error) {
	const highest = 65535
	if text == "" {
		return nil, nil
	}
	if text == "failed" {
		return []statusRange{{0, 0}, {400, highest}}, nil
	}
	m := statusPattern.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("status: is %q, want 429, 5xx, >=400, 400-499 or failed", text)
	}
	code := func(s string) uint16 {
		n, _ := strconv.ParseUint(s, 10, 16) // three digits at most
		return uint16(n)
	}
	n := code(m[3])
	switch {
	case m[1] != "":
		return []statusRange{{code(m[1]) * 100, code(m[1])*100 + 99}}, nil
	case m[4] != "":
		return []statusRange{{code(m[4]), code(m[5])}}, nil
	case m[2] == ">=":
		return []statusRange{{n, highest}}, nil
	case m[2] == ">":
		return []statusRange{{n + 1, highest}}, nil
	case m[2] == "<=":
		return []statusRange{{0, n}}, nil
	case m[2] == "<" && n == 0:
		return []statusRange{{1, 0}}, nil
	case m[2] == "<":
		return []statusRange{{0, n - 1}}, nil
	}
	return []statusRange{{n, n}}, nil
}

// parsedFilter is a CallFilter whose texts have been read.
type parsedFilter struct {
	CallFilter
	statuses  []statusRange
	minUS     uint64
	requestID [16]byte // zero: none
	traceID   [16]byte // zero: none
}

// parse names every field that cannot be read.
func (f CallFilter) parse() (p parsedFilter, err error) {
	p.CallFilter = f
	var errs []error
	if p.statuses, err = statuses(f.Status); err != nil {
		errs = append(errs, err)
	}
	if f.MinDuration != "" {
		d, err := time.ParseDuration(f.MinDuration)
		if err != nil || d < 0 {
			errs = append(errs, fmt.Errorf("min_duration: is %q, want a duration such as 250ms", f.MinDuration))
		}
		p.minUS = uint64(max(0, (d+time.Microsecond-1)/time.Microsecond)) // rounded up: at least that long
	}
	if f.RequestID != "" {
		if p.requestID, err = uuid.Parse(f.RequestID); err != nil || p.requestID == [16]byte{} {
			errs = append(errs, fmt.Errorf("request_id: is %q, want one such as f5a1c1d2-8a47-4b6c-9d51-0c7d7a1c0f5e", f.RequestID))
		}
	}
	if f.TraceID != "" {
		b, err := hex.DecodeString(f.TraceID)
		if err != nil || len(b) != len(p.traceID) || [16]byte(b) == [16]byte{} {
			errs = append(errs, fmt.Errorf("trace_id: is %q, want 32 hex digits, not all of them 0", f.TraceID))
		} else {
			p.traceID = [16]byte(b)
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && f.Until.Before(f.Since) {
		errs = append(errs, fmt.Errorf("until: is %s, before since, which is %s", f.Until.Format(time.RFC3339), f.Since.Format(time.RFC3339)))
	}
	return p, errors.Join(errs...)
}

// byID reports that single calls are asked for, of which nobody should have to know
// when they were and who sent them.
func (f CallFilter) byID() bool { return f.RequestID != "" || f.TraceID != "" }

// sinceOr makes f begin at that time, unless it says since when or which call.
func (f CallFilter) sinceOr(t time.Time) CallFilter {
	if f.Since.IsZero() && !f.byID() {
		f.Since = t
	}
	return f
}

// names are the fields that have to be equal to a column.
func (f CallFilter) names() []struct{ column, value string } {
	return []struct{ column, value string }{
		{"tenant", f.Tenant},
		{"function", f.Function},
		{"revision", f.Revision},
		{"zone", f.Zone},
		{"pod", f.Pod},
		{"gateway", f.Gateway},
		{"consumer", f.Consumer},
		{"method", f.Method},
		{"host", f.Host},
	}
}

// match is where for a live call: both choose the same.
func (f parsedFilter) match(r *calllog.Record) bool {
	return equal(f.Tenant, r.Tenant) && equal(f.Function, r.Function) && equal(f.Revision, r.Revision) &&
		equal(f.Zone, r.Zone) && equal(f.Pod, r.Pod) && equal(f.Consumer, r.Consumer) && equal(f.Host, r.Host) &&
		(f.Gateway == "" || f.Gateway == r.Gateway) &&
		(f.Method == "" || f.Method == calllog.MethodName(r.Method)) &&
		bytes.HasPrefix(r.Path, []byte(f.PathPrefix)) && bytes.Contains(r.Path, []byte(f.Path)) &&
		f.matchNumbers(r) && f.matchLimit(r.LimitedBy) && f.matchRun(r.LoadTest) &&
		(f.requestID == [16]byte{} || f.requestID == r.RequestID) &&
		(f.traceID == [16]byte{} || f.traceID == r.TraceID)
}

func equal(want string, have []byte) bool { return want == "" || want == string(have) }

func (f parsedFilter) matchNumbers(r *calllog.Record) bool {
	in := func(s statusRange) bool { return s.from <= r.Status && r.Status <= s.to }
	return (len(f.statuses) == 0 || slices.ContainsFunc(f.statuses, in)) && uint64(r.DurationUS) >= f.minUS &&
		(f.Since.IsZero() || r.Time > f.Since.UnixMicro()) && (f.Until.IsZero() || r.Time <= f.Until.UnixMicro())
}

func (f parsedFilter) matchLimit(limit string) bool {
	return f.LimitedBy == "" || limit == f.LimitedBy || f.LimitedBy == anyLimit && limit != ""
}

func (f parsedFilter) matchRun(run []byte) bool {
	switch {
	case f.LoadRun != "":
		return string(run) == f.LoadRun
	case f.LoadTest || f.byID():
		return true
	}
	return len(run) == 0
}

// condition collects what a query asks for. Only parameters hold what users wrote.
type condition struct {
	all  []string
	args []any
}

func (c *condition) add(sql string) { c.all = append(c.all, sql) }

func (c *condition) set(name, sql, value string) {
	if value != "" {
		c.add(sql)
		c.args = append(c.args, clickhouse.Named(name, value))
	}
}

// where is the condition of a query FROM calls AS c.
func (f parsedFilter) where() condition {
	c := f.whereNames("c.")
	c.micros("since", "c.ts > fromUnixTimestamp64Micro({since:Int64})", f.Since)
	c.micros("until", "c.ts <= fromUnixTimestamp64Micro({until:Int64})", f.Until)
	c.set("path_prefix", "startsWith(c.path, {path_prefix:String})", f.PathPrefix)
	c.set("path", "position(c.path, {path:String}) > 0", f.Path)
	if f.minUS > 0 {
		c.set("min_us", "c.duration_us >= {min_us:UInt64}", fmt.Sprint(f.minUS))
	}
	if f.LimitedBy == anyLimit {
		c.add("c.limited_by != ''")
	} else {
		c.set("limited_by", "c.limited_by = {limited_by:String}", f.LimitedBy)
	}
	if f.requestID != [16]byte{} {
		c.set("request_id", "c.request_id = {request_id:UUID} AND "+schema.ByHash("c", schema.RequestHash("{request_id:UUID}")), uuid.UUID(f.requestID).String())
	}
	if f.traceID != [16]byte{} {
		c.set("trace_id", "c.trace_id = unhex({trace_id:String}) AND "+schema.ByHash("c", schema.TraceHash("{trace_id:String}")), hex.EncodeToString(f.traceID[:]))
	}
	switch {
	case f.LoadRun != "":
		c.set("load_run", "c.load_test = {load_run:String}", f.LoadRun)
	case !f.LoadTest && !f.byID():
		c.add("c.load_test = ''")
	}
	return c
}

// whereNames is the part of where that rollups can answer, too.
func (f parsedFilter) whereNames(prefix string) condition {
	c := condition{all: []string{"1"}}
	for _, n := range f.names() {
		c.set(n.column, prefix+n.column+" = {"+n.column+":String}", n.value)
	}
	var ranges []string
	for _, s := range f.statuses {
		ranges = append(ranges, fmt.Sprintf("%sstatus BETWEEN %d AND %d", prefix, s.from, s.to))
	}
	if len(ranges) > 0 {
		c.add("(" + strings.Join(ranges, " OR ") + ")")
	}
	return c
}

func (c *condition) micros(name, sql string, t time.Time) {
	if !t.IsZero() {
		c.set(name, sql, fmt.Sprint(max(0, t.UnixMicro())))
	}
}

func (c condition) String() string { return strings.Join(c.all, " AND ") }
