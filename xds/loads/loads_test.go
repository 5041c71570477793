package loads

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	accesslog "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// serve runs the services and returns a connection to them.
func serve(t *testing.T, s *Server) (context.Context, *grpc.ClientConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	s.Register(g)
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(listener) }()
	t.Cleanup(func() { g.Stop(); <-done })
	c, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx, c
}

func testServer(admit func(context.Context, *core.Node) error) (*Server, chan Report) {
	reports := make(chan Report, 10)
	counts := Refusals{Header: "x-by", Values: []string{"capacity"}, Each: 4}
	return New(slog.New(slog.DiscardHandler), counts, admit, func(r Report) { reports <- r }), reports
}

func refusal(route, by string) *accesslog.HTTPAccessLogEntry {
	return &accesslog.HTTPAccessLogEntry{
		CommonProperties: &accesslog.AccessLogCommon{RouteName: route},
		Response:         &accesslog.HTTPResponseProperties{ResponseHeaders: map[string]string{"x-by": by}},
	}
}

// TestReports plays a gateway: it is asked for what is wanted, when that changes
// too, and what it refused is added to what it sent.
func TestReports(t *testing.T) {
	s, reports := testServer(nil)
	ctx, c := serve(t, s)
	node := &core.Node{Id: "gw-1"}
	stream, err := loadstats.NewLoadReportingServiceClient(c).StreamLoadStats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&loadstats.LoadStatsRequest{Node: node}); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"feed/r1"}, {"feed/r1", "feed/r2"}} {
		s.Want(want)
		asked, err := stream.Recv()
		if err != nil || len(asked.GetClusters()) != len(want) || asked.GetLoadReportingInterval().AsDuration() != time.Second {
			t.Fatalf("asked for %v, %v; want %v each second", asked, err, want)
		}
	}
	if !s.Reports("gw-1") || s.Reports("gw-2") {
		t.Error("who reports")
	}

	log, err := als.NewAccessLogServiceClient(c).StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	entries := &als.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslog.HTTPAccessLogEntry{
		refusal("feed/0", "capacity"), refusal("feed/1", "capacity"), refusal("feed/0", "consumer"), refusal("", ""),
	}}
	if err := log.Send(&als.StreamAccessLogsMessage{
		Identifier: &als.StreamAccessLogsMessage_Identifier{Node: node}, LogEntries: &als.StreamAccessLogsMessage_HttpLogs{HttpLogs: entries},
	}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "refusals are counted", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.refused["gw-1"]["feed"] == 8 })
	if err := stream.Send(&loadstats.LoadStatsRequest{ClusterStats: []*endpoint.ClusterStats{
		{ClusterName: "feed/r1", LoadReportInterval: durationpb.New(2 * time.Second), UpstreamLocalityStats: []*endpoint.UpstreamLocalityStats{
			{TotalIssuedRequests: 30}, {TotalIssuedRequests: 12},
		}},
		{ClusterName: "feed/r2", LoadReportInterval: durationpb.New(time.Second)},
		{ClusterName: "feed/r3"},
	}}); err != nil {
		t.Fatal(err)
	}
	r := <-reports
	if r.Node != "gw-1" || r.Refused["feed"] != 8 || len(r.Clusters) != 2 || r.Clusters["feed/r1"] != (Load{42, 2 * time.Second}) {
		t.Errorf("report: %+v", r)
	}
	if len(s.taken("gw-1")) != 0 {
		t.Error("refusals are counted twice")
	}
}

// TestOnlyGatewaysReport: both services turn strangers away.
func TestOnlyGatewaysReport(t *testing.T) {
	s, _ := testServer(func(context.Context, *core.Node) error { return errors.New("who are you") })
	ctx, c := serve(t, s)
	stream, err := loadstats.NewLoadReportingServiceClient(c).StreamLoadStats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&loadstats.LoadStatsRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("reports of a stranger: %v", err)
	}
	log, err := als.NewAccessLogServiceClient(c).StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Send(&als.StreamAccessLogsMessage{}); err != nil {
		t.Fatal(err)
	}
	if err := log.RecvMsg(&als.StreamAccessLogsResponse{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("refusals of a stranger: %v", err)
	}
}

func TestInterval(t *testing.T) {
	for clusters, want := range map[int]time.Duration{0: time.Second, perSecond: time.Second, perSecond + 1: 2 * time.Second, 20_000: 10 * time.Second} {
		if got := interval(clusters); got != want {
			t.Errorf("%d clusters: every %v, want %v", clusters, got, want)
		}
	}
}
