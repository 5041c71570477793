package collector

import (
	"fmt"
	"net"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	data "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestStreamsAndFilesTogether(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	cfg := testConfig(dir, lines.path)
	cfg.Source = SourceBoth
	c := start(t, cfg, engine.Options())
	lines.write(1000)

	conn, err := grpc.NewClient(c.ALSAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	testkit.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	stream, err := service.NewAccessLogServiceClient(conn).StreamAccessLogs(testkit.Context(t))
	testkit.Must(t, err)
	for n := range 10 {
		m := entries(n*50, 50)
		if n == 0 {
			m.Identifier = &service.StreamAccessLogsMessage_Identifier{
				Node: &core.Node{Id: "gw-2", Locality: &core.Locality{Zone: "zb-b"}}, LogName: "kongdao",
			}
		}
		testkit.Must(t, stream.Send(m))
	}
	c.settle(1500)
	client := open(t, engine.Options())
	for gateway, wanted := range map[string]uint64{"gw-1": 1000, "gw-2": 500} {
		var n, ids uint64
		testkit.Must(t, client.QueryRow(testkit.Context(t), "SELECT count(), uniqExact(path) FROM calls WHERE gateway = ?", gateway).Scan(&n, &ids))
		if n != wanted || ids != wanted {
			t.Errorf("%d calls of %s, %d different, want %d", n, gateway, ids, wanted)
		}
	}
	c.stop()
}

// entries are calls from to from+n-1, as Envoy streams them.
func entries(from, n int) *service.StreamAccessLogsMessage {
	logs := &service.StreamAccessLogsMessage_HTTPAccessLogEntries{}
	for i := from; i < from+n; i++ {
		logs.LogEntry = append(logs.LogEntry, &data.HTTPAccessLogEntry{
			CommonProperties: &data.AccessLogCommon{
				StartTime:                  timestamppb.New(time.UnixMicro(begin + int64(i))),
				TimeToLastDownstreamTxByte: durationpb.New(time.Millisecond),
			},
			Request:  &data.HTTPRequestProperties{RequestMethod: core.RequestMethod_GET, Authority: "h", Path: fmt.Sprintf("/s?n=%d", i)},
			Response: &data.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
		})
	}
	return &service.StreamAccessLogsMessage{LogEntries: &service.StreamAccessLogsMessage_HttpLogs{HttpLogs: logs}}
}

// A collector that never ran gives back folder and address, and a second one can
// have them.
func TestCloseGivesEverythingBack(t *testing.T) {
	engine := embeddedtest.Start(t)
	dir := t.TempDir()
	cfg := testConfig(dir, "access.log")
	cfg.Source = SourceBoth
	for range 2 {
		c, err := New(cfg, engine.Options(), testLog(t), nil)
		testkit.Must(t, err)
		if cfg.ALSListen != "127.0.0.1:0" && c.ALSAddr() != cfg.ALSListen {
			t.Errorf("listens on %s, want %s", c.ALSAddr(), cfg.ALSListen)
		}
		cfg.ALSListen = c.ALSAddr()
		if _, err := New(cfg, engine.Options(), testLog(t), nil); err == nil {
			t.Error("two collectors on one folder")
		}
		testkit.Must(t, c.Close())
	}
	l, err := net.Listen("tcp", cfg.ALSListen)
	testkit.Must(t, err)
	testkit.Must(t, l.Close())
}
