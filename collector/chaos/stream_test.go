package chaos

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	data "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/internal/calllog"
)

// streamer sends calls as Envoy does, on one stream at a time, and begins another
// when that breaks.
type streamer struct {
	long    bool         // paths are
	n       atomic.Int64 // calls handed to gRPC so far, whatever became of them
	sending atomic.Bool  // Send has not returned

	mu     sync.Mutex
	addr   string
	conn   *grpc.ClientConn
	stream grpc.ClientStreamingClient[service.StreamAccessLogsMessage, service.StreamAccessLogsResponse]
	cancel context.CancelFunc
}

// to is where the next stream goes.
func (s *streamer) to(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
	s.addr = addr
}

func (s *streamer) close() {
	if s.conn != nil {
		s.cancel()
		_ = s.conn.Close()
		s.conn, s.stream = nil, nil
	}
}

func (s *streamer) connect() error {
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	connecting := time.AfterFunc(5*time.Second, cancel)
	stream, err := service.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx)
	connecting.Stop()
	if err != nil {
		cancel()
		_ = conn.Close()
		return err
	}
	s.conn, s.stream, s.cancel = conn, stream, cancel
	return nil
}

// send streams the next calls in one message. An error says that they may be lost;
// they are never sent again. It blocks while the other side does not read.
func (s *streamer) send(calls int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.stream == nil
	if first {
		if err := s.connect(); err != nil {
			return err
		}
	}
	m := message(int(s.n.Load()), calls, s.long)
	if first {
		m.Identifier = &service.StreamAccessLogsMessage_Identifier{
			Node: &core.Node{Id: streamGateway, Locality: &core.Locality{Zone: "zb-b"}}, LogName: "kongdao",
		}
	}
	s.n.Add(int64(calls))
	s.sending.Store(true)
	err := s.stream.Send(m)
	s.sending.Store(false)
	if err != nil {
		s.close()
	}
	return err
}

// finish ends the stream in order: the other side has taken all that was sent.
func (s *streamer) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		return
	}
	late := time.AfterFunc(patience, s.cancel)
	defer late.Stop()
	_, _ = s.stream.CloseAndRecv() // what was lost on the way shows on disk
	s.close()
}

func message(from, n int, long bool) *service.StreamAccessLogsMessage {
	logs := &service.StreamAccessLogsMessage_HTTPAccessLogEntries{}
	for i := from; i < from+n; i++ {
		c := callOf(i, true)
		if long {
			c.path = longPath(i)
		}
		logs.LogEntry = append(logs.LogEntry, entry(c))
	}
	return &service.StreamAccessLogsMessage{LogEntries: &service.StreamAccessLogsMessage_HttpLogs{HttpLogs: logs}}
}

func entry(c call) *data.HTTPAccessLogEntry {
	return &data.HTTPAccessLogEntry{
		CommonProperties: &data.AccessLogCommon{
			StartTime:                  timestamppb.New(c.at),
			TimeToLastDownstreamTxByte: durationpb.New(time.Duration(c.duration) * time.Microsecond),
			CustomTags: map[string]string{
				calllog.TagTenant: "t", calllog.TagFunction: c.function, calllog.TagRevision: c.revision, calllog.TagZone: c.zone,
			},
		},
		Request: &data.HTTPRequestProperties{
			RequestMethod: core.RequestMethod_GET, Authority: "h.example", Path: c.path, RequestId: c.id, RequestBodyBytes: 10,
		},
		Response: &data.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(uint32(c.status)), ResponseBodyBytes: uint64(c.bytes)},
	}
}
