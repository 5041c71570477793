package als

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	data "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kongdao/kongdao/internal/calllog"
)

// connection is a TCP connection with every field that is read.
func connection() *data.TCPAccessLogEntry {
	return &data.TCPAccessLogEntry{
		CommonProperties: &data.AccessLogCommon{
			StartTime: timestamppb.New(time.UnixMicro(1795419896275147)), Duration: durationpb.New(1500 * time.Millisecond),
			DownstreamRemoteAddress: socket("10.1.2.3", 4000), UpstreamRemoteAddress: socket("10.9.9.9", 5432),
			UpstreamCluster: "orders-db/r3", RouteName: "orders-db/0",
			ResponseFlags:               &data.ResponseFlags{UpstreamConnectionFailure: true},
			UpstreamRequestAttemptCount: 2,
		},
		ConnectionProperties: &data.ConnectionProperties{ReceivedBytes: 1234, SentBytes: 56789},
	}
}

func connections(entries ...*data.TCPAccessLogEntry) *service.StreamAccessLogsMessage {
	return &service.StreamAccessLogsMessage{
		Identifier: &service.StreamAccessLogsMessage_Identifier{
			Node: &core.Node{Id: "gw-1", Locality: &core.Locality{Zone: "zb-a"}}, LogName: "connections",
		},
		LogEntries: &service.StreamAccessLogsMessage_TcpLogs{TcpLogs: &service.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: entries}},
	}
}

// plainConnection is what the protobuf structs say of an entry.
func plainConnection(e *data.TCPAccessLogEntry) calllog.Record {
	c, p := e.GetCommonProperties(), e.GetConnectionProperties()
	var r calllog.Record
	r.Reset()
	r.Time, r.Gateway, r.GatewayZone = c.GetStartTime().AsTime().UnixMicro(), "gw-1", "zb-a"
	r.DurationUS = uint32(c.GetDuration().AsDuration().Microseconds())
	if tx := c.GetTimeToLastDownstreamTxByte().AsDuration(); tx > 0 {
		r.DurationUS = uint32(tx.Microseconds())
	}
	r.BytesIn, r.BytesOut = p.GetReceivedBytes(), p.GetSentBytes()
	r.Route = []byte(c.GetRouteName())
	if up := c.GetUpstreamRemoteAddress().GetSocketAddress(); up != nil {
		r.Pod = []byte(net.JoinHostPort(up.GetAddress(), fmt.Sprint(up.GetPortValue())))
	}
	if down := c.GetDownstreamRemoteAddress().GetSocketAddress(); down != nil {
		r.ClientIP = netip.MustParseAddr(down.GetAddress()).As16()
	}
	var f, v string
	if n, err := fmt.Sscanf(c.GetUpstreamCluster(), "%1s/%2s", &f, &v); n == 2 && err == nil {
		r.Function, r.Revision = []byte(f), []byte(v)
	}
	r.Attempts = uint8(min(c.GetUpstreamRequestAttemptCount(), 255))
	if c.GetResponseFlags().GetUpstreamConnectionFailure() {
		r.Flags = []byte("UF")
	}
	r.Finish(nil, nil)
	r.Attrs = append(r.Attrs, calllog.Attr{Key: calllog.AttrProtocol, Value: []byte(calllog.ProtocolTCP)})
	return r
}

func TestConnection(t *testing.T) {
	want := plainConnection(connection())
	want.Function, want.Revision = []byte("orders-db"), []byte("r3")
	var s stream
	var n counts
	got := 0
	for r := range s.calls(marshal(t, connections(connection())), &n) {
		got++
		if diff := cmp.Diff(&want, r, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if got != 1 || n != (counts{tcp: 1}) {
		t.Errorf("%d rows, %+v", got, n)
	}
}

// Whatever is set, the row is what the protobuf structs say.
func TestConnectionsAsTheStructsSay(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	maybe := func() bool { return r.IntN(3) > 0 }
	for range 2000 {
		c := &data.AccessLogCommon{StartTime: timestamppb.New(time.UnixMicro(1 + r.Int64N(2e15)))}
		e := &data.TCPAccessLogEntry{CommonProperties: c}
		if maybe() {
			e.ConnectionProperties = &data.ConnectionProperties{ReceivedBytes: r.Uint64(), SentBytes: r.Uint64N(99)}
		}
		if maybe() {
			c.Duration = durationpb.New(time.Duration(r.Int64N(4e9)) * time.Microsecond)
		}
		if maybe() {
			c.DownstreamRemoteAddress = socket(fmt.Sprintf("10.0.%d.%d", r.IntN(256), r.IntN(256)), 1)
		}
		if maybe() {
			c.UpstreamRemoteAddress = socket("2001:db8::1", uint32(r.IntN(65536)))
		}
		if maybe() {
			c.UpstreamCluster, c.RouteName = fmt.Sprintf("f/r%d", r.IntN(10)), "x"
		}
		if maybe() {
			c.UpstreamRequestAttemptCount, c.ResponseFlags = uint32(r.IntN(1000)), &data.ResponseFlags{UpstreamConnectionFailure: maybe()}
		}
		want := plainConnection(e)
		var s stream
		var n counts
		for got := range s.calls(marshal(t, connections(e)), &n) {
			if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%v\n(-want +got):\n%s", e, diff)
			}
		}
		if n != (counts{tcp: 1}) {
			t.Fatalf("%+v", n)
		}
	}
}
