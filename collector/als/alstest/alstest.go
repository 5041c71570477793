// Package alstest reads access log entries the plain way, with protobuf's own
// structs, and makes random ones: what the hand-written decoder is compared with.
package alstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	data "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Record makes a record of an entry by its fields' names.
func Record(e *data.HTTPAccessLogEntry, h calllog.Headers) calllog.Record {
	common, request, response := e.GetCommonProperties(), e.GetRequest(), e.GetResponse()
	us := func(d *durationpb.Duration) uint32 { return uint32(max(0, d.AsDuration()) / time.Microsecond) }
	tags := common.GetCustomTags()
	function, revision, ok := strings.Cut(common.GetUpstreamCluster(), "/")
	if !ok {
		function, revision = "", ""
	}
	or := func(a, b string) []byte {
		if a == "" {
			a = b
		}
		return []byte(a)
	}
	upTo := func(s string, most int) []byte { return []byte(s[:min(len(s), most)]) }
	r := calllog.Record{
		Time: common.GetStartTime().AsTime().UnixMicro(), SampleWeight: 1,
		Tenant: []byte(tags[calllog.TagTenant]), Function: or(tags[calllog.TagFunction], function), Revision: or(tags[calllog.TagRevision], revision),
		Zone: []byte(tags[calllog.TagZone]), Consumer: upTo(tags[calllog.TagConsumer], 256), Route: []byte(common.GetRouteName()),
		Pod: address(common.GetUpstreamRemoteAddress()), Method: method(request), Host: upTo(request.GetAuthority(), 256),
		Path: upTo(string(or(request.GetOriginalPath(), request.GetPath())), 4096), UserAgent: upTo(request.GetUserAgent(), 512),
		Status: uint16(response.GetResponseCode().GetValue()), Flags: flags(common.GetResponseFlags()),
		DurationUS: us(common.GetTimeToLastDownstreamTxByte()), TTFBUS: us(common.GetTimeToFirstDownstreamTxByte()),
		BytesIn: request.GetRequestBodyBytes(), BytesOut: response.GetResponseBodyBytes(),
		Attempts: uint8(min(common.GetUpstreamRequestAttemptCount(), 255)),
		LoadTest: upTo(request.GetRequestHeaders()[calllog.LoadTestHeader], 256),
	}
	if r.DurationUS == 0 {
		r.DurationUS = us(common.GetDuration())
	}
	if first, last := us(common.GetTimeToFirstUpstreamTxByte()), us(common.GetTimeToFirstUpstreamRxByte()); last > first {
		r.UpstreamUS = last - first
	}
	if ip := net.ParseIP(common.GetDownstreamRemoteAddress().GetSocketAddress().GetAddress()); ip != nil {
		r.ClientIP = [16]byte(ip.To16())
	}
	calllog.ParseTraceparent([]byte(request.GetRequestHeaders()["traceparent"]), &r.TraceID)
	id := []byte(request.GetRequestId())
	if calllog.ParseUUID(id, &r.RequestID) {
		id = nil
	}
	for i := range h.Len() {
		if v := request.GetRequestHeaders()[h.Name(i)]; v != "" && v != "-" {
			r.Attrs = append(r.Attrs, calllog.Attr{Key: h.Name(i), Value: upTo(v, 256)})
		}
	}
	r.Finish([]byte(response.GetResponseCodeDetails()), id)
	return r
}

func address(a *core.Address) []byte {
	s := a.GetSocketAddress()
	if s.GetAddress() == "" {
		return nil
	}
	return []byte(net.JoinHostPort(s.GetAddress(), strconv.Itoa(int(s.GetPortValue()))))
}

func method(r *data.HTTPRequestProperties) []byte {
	switch m := r.GetRequestMethod(); {
	case m != core.RequestMethod_METHOD_UNSPECIFIED:
		return []byte(m.String())
	case r.GetPath() != "":
		return []byte(calllog.OtherMethod)
	}
	return nil
}

// flags has those that Entry sets.
func flags(f *data.ResponseFlags) []byte {
	var names []string
	for _, flag := range []struct {
		is   bool
		name string
	}{
		{f.GetUpstreamRetryLimitExceeded(), "URX"},
		{f.GetNoHealthyUpstream(), "UH"},
		{f.GetUpstreamRequestTimeout(), "UT"},
		{f.GetUpstreamConnectionFailure(), "UF"},
		{f.GetUpstreamOverflow(), "UO"},
		{f.GetNoRouteFound(), "NR"},
		{f.GetRateLimited(), "RL"},
		{f.GetDownstreamConnectionTermination(), "DC"},
	} {
		if flag.is {
			names = append(names, flag.name)
		}
	}
	return []byte(strings.Join(names, ","))
}

// Entry is a random entry; any part of it may be missing.
func Entry(r *rand.Rand) *data.HTTPAccessLogEntry {
	flip := func() bool { return r.IntN(4) > 0 }
	text := func(texts ...string) string {
		if !flip() {
			return ""
		}
		return texts[r.IntN(len(texts))]
	}
	us := func() *durationpb.Duration {
		if !flip() {
			return nil
		}
		return durationpb.New(time.Duration(r.Uint32()) * time.Microsecond)
	}
	socket := func(hosts ...string) *core.Address {
		if !flip() {
			return nil
		}
		return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: hosts[r.IntN(len(hosts))], PortSpecifier: &core.SocketAddress_PortValue{PortValue: r.Uint32N(65536)},
		}}}
	}
	long := strings.Repeat("x", r.IntN(6000))
	e := &data.HTTPAccessLogEntry{CommonProperties: &data.AccessLogCommon{
		SampleRate: 1, StartTime: timestamppb.New(time.UnixMicro(1 + r.Int64N(10413791999999998))),
		DownstreamRemoteAddress: socket("10.1.2.3", "::1", "/pipe"), UpstreamRemoteAddress: socket("10.0.0.7", "fd00::7"),
		TimeToFirstUpstreamTxByte: us(), TimeToFirstUpstreamRxByte: us(), TimeToFirstDownstreamTxByte: us(), TimeToLastDownstreamTxByte: us(), Duration: us(),
		UpstreamCluster: text("feed/r12", "feed", "/", "a/b/c"), RouteName: text("feed/0"), UpstreamRequestAttemptCount: r.Uint32N(400),
		CustomTags: map[string]string{
			calllog.TagTenant: text("t"), calllog.TagFunction: text("f"), calllog.TagRevision: text("r"), calllog.TagZone: text("z"), calllog.TagConsumer: text("c", long),
		},
		ResponseFlags: &data.ResponseFlags{
			UpstreamRetryLimitExceeded: !flip(), NoHealthyUpstream: !flip(), UpstreamRequestTimeout: !flip(), UpstreamConnectionFailure: !flip(),
			UpstreamOverflow: !flip(), NoRouteFound: !flip(), RateLimited: !flip(), DownstreamConnectionTermination: !flip(),
		},
	}}
	if flip() {
		e.Request = &data.HTTPRequestProperties{
			RequestMethod: core.RequestMethod(r.IntN(10)), Authority: text("h", long), Path: text("/p", "/"+long), OriginalPath: text("/o", "/"+long), UserAgent: text("ua", long),
			RequestId: text("215914be-86d1-4f43-a027-2511b2cbd533", "no uuid"), RequestBodyBytes: r.Uint64(),
			RequestHeaders: map[string]string{
				"traceparent": text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "bad"), calllog.LoadTestHeader: text("run", long),
				"x-a": text("a", "-", long), "x-b": text("b\tc"), "x-not-kept": text("secret"),
			},
		}
	}
	if flip() {
		e.Response = &data.HTTPResponseProperties{
			ResponseBodyBytes: r.Uint64(), ResponseCodeDetails: text("via_upstream", "route_not_found"), ResponseCode: wrapperspb.UInt32(r.Uint32N(600)),
		}
	}
	return e
}

// Message is a message with the entries.
func Message(entries ...*data.HTTPAccessLogEntry) *service.StreamAccessLogsMessage {
	return &service.StreamAccessLogsMessage{
		Identifier: &service.StreamAccessLogsMessage_Identifier{
			Node: &core.Node{Id: "gw-1", Cluster: "main", Locality: &core.Locality{Region: "r", Zone: "zb-a"}}, LogName: "calls",
		},
		LogEntries: &service.StreamAccessLogsMessage_HttpLogs{HttpLogs: &service.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries}},
	}
}

// Ordinary is the entry of a call as most are, number n of many: 500 functions
// with three revisions in three zones, 1,500 pods, usual browsers, two headers.
func Ordinary(r *rand.Rand, n int) *data.HTTPAccessLogEntry {
	us := func(n int64) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Microsecond) }
	c := NewCall(r, n)
	socket := func(hostPort string) *core.Address {
		host, port, _ := net.SplitHostPort(hostPort) // written below
		p, _ := strconv.Atoi(port)
		return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(p)},
		}}}
	}
	return &data.HTTPAccessLogEntry{
		CommonProperties: &data.AccessLogCommon{
			SampleRate: 1, StartTime: timestamppb.New(time.UnixMicro(c.Time)), DownstreamRemoteAddress: socket(c.Client + ":40000"),
			UpstreamRemoteAddress: socket(c.Pod), TimeToFirstUpstreamTxByte: us(100), TimeToFirstUpstreamRxByte: us(100 + c.US), Duration: us(c.US + 200),
			TimeToFirstDownstreamTxByte: us(c.US + 150), TimeToLastDownstreamTxByte: us(c.US + 200), UpstreamCluster: c.Function + "/" + c.Revision,
			RouteName: c.Function + "/0", UpstreamRequestAttemptCount: 1, ResponseFlags: &data.ResponseFlags{},
			CustomTags: map[string]string{
				calllog.TagTenant: c.Tenant, calllog.TagFunction: c.Function, calllog.TagRevision: c.Revision, calllog.TagZone: c.Zone,
			},
		},
		Request: &data.HTTPRequestProperties{
			RequestMethod: core.RequestMethod_GET, Scheme: "https", Authority: "api.example.com", Path: c.Path, UserAgent: c.UserAgent, RequestId: c.RequestID,
			RequestHeaders: map[string]string{"traceparent": c.Traceparent, "x-app-version": c.Version, "x-channel": c.Channel},
		},
		Response: &data.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(c.Status), ResponseBodyBytes: c.Bytes, ResponseCodeDetails: "via_upstream",
		},
	}
}

// Call is a call as most are: see Ordinary.
type Call struct {
	Time, US                              int64
	Tenant, Function, Revision, Zone, Pod string
	Client, Path, UserAgent               string
	RequestID, Traceparent                string
	Version, Channel                      string
	Status                                uint32
	Bytes                                 uint64
}

// NewCall makes call n, a millisecond after the one before.
func NewCall(r *rand.Rand, n int) Call {
	f := int(r.ExpFloat64()*60) % 500 // some functions are called more than others
	c := Call{
		Time: 1795419896000000 + int64(n)*1000 + r.Int64N(1000), US: int64(1000 + r.ExpFloat64()*20000),
		Tenant: fmt.Sprint("tenant-", f%10), Function: fmt.Sprint("recommend-fn-", f), Client: fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256)),
		Path:      fmt.Sprintf("/v1/recommend/%d?page=%d&size=20&channel=app&lang=zh", r.IntN(1e6), r.IntN(50)),
		UserAgent: agents[r.IntN(len(agents))], Version: fmt.Sprintf("7.%d.0", r.IntN(5)), Channel: []string{"ios", "android", "web"}[r.IntN(3)],
		RequestID:   fmt.Sprintf("%08x-86d1-4f43-a027-%012x", r.Uint32(), r.Uint64()>>16),
		Traceparent: fmt.Sprintf("00-%016x%016x-b7ad6b7169203331-01", r.Uint64(), r.Uint64()), Status: 200, Bytes: r.Uint64N(20000),
	}
	zone, revision := r.IntN(3), 0
	if r.IntN(20) == 0 {
		revision = 1 // a gray release
	}
	c.Zone, c.Revision = fmt.Sprintf("zb-%c", 'a'+zone), fmt.Sprint("r", 10+revision)
	c.Pod = fmt.Sprintf("10.%d.%d.%d:9000", zone, f/250*2+revision, f%250) // a pod is in one zone, and of one revision
	switch r.IntN(100) {
	case 0:
		c.Path += "&mobile=13812345678"
	case 1:
		c.Path += "&access_token=9f86d081884c7d659a2feaa0c55ad015"
	case 2:
		c.Status = 404
	case 3:
		c.Status = 503
	}
	return c
}

var agents = []string{
	"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36 Edg/119.0.2151.97",
	"okhttp/4.12.0", "recommend-app/7.1.0 (iOS 17.1; zh_CN)",
}
