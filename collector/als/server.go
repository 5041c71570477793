// Package als receives calls over Envoy's gRPC access log service, v3, for
// gateways whose log files no collector can read.
//
// The bytes of an entry go straight into a record; protobuf structs, which cap a
// core at a fifth of that, are never made. The sink sets the pace: while it
// blocks, nothing is read from that stream, until Envoy's own buffer is full and
// it drops, which only Envoy counts (access_logs.grpc_access_log.logs_dropped).
//
// The protocol has no acknowledgements: what is on the way when either side dies
// is lost, and neither side knows. Files do not have that gap.
package als

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Config is where and how much a Server takes.
type Config struct {
	Listen string `yaml:"listen"` // host:port; port 0 picks a free one. Default 127.0.0.1:0

	// MaxMessageBytes is the largest message; a larger one ends its stream. It is
	// above every gateway's buffer_size_bytes plus one entry. Default 4 MiB.
	MaxMessageBytes int `yaml:"maxMessageBytes"`

	Headers calllog.Headers `yaml:"-"` // request headers that calls keep

	// StatPrefix is that of the gateways' connection manager, whose requests are
	// counted. Default gateway.
	StatPrefix string `yaml:"statPrefix"`
}

// DefaultConfig listens on a free loopback port.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:0", MaxMessageBytes: 4 << 20, StatPrefix: "gateway"}
}

// Validate reports every field that cannot work.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen: %w", err))
	}
	if c.MaxMessageBytes <= 0 {
		errs = append(errs, errors.New("maxMessageBytes: must be above 0"))
	}
	return errors.Join(errs...)
}

// Sink takes the calls of one message over: it makes one pass over them, during
// the call. A record and what it points to are valid until the next. It blocks
// while there is no room. Its error ends the Server, unless its context did.
// It is called by several goroutines, one for each stream.
type Sink func(context.Context, iter.Seq[*calllog.Record]) error

// Server is an access log service.
type Server struct {
	listener net.Listener
	server   *grpc.Server
	log      *slog.Logger
	metrics  *metrics
	sink     Sink
	headers  calllog.Headers

	statPrefix string
	counting   Counting
	failed     chan error // 1: the first failure of the sink
}

// New binds the address and serves nothing yet. Run gives the address back. reg
// may be nil.
func New(c Config, log *slog.Logger, reg prometheus.Registerer, sink Sink, counting Counting) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("access log service: %w", err)
	}
	const window = 1 << 20 // bytes of a stream that are on the way while the sink blocks
	s := &Server{listener: listener, log: log, metrics: m, sink: sink, headers: c.Headers, failed: make(chan error, 1), statPrefix: c.StatPrefix, counting: counting}
	s.server = grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(c.MaxMessageBytes),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window), grpc.WaitForHandlers(true))
	s.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.accesslog.v3.AccessLogService",
		Streams: []grpc.StreamDesc{{
			StreamName: "StreamAccessLogs", ClientStreams: true,
			Handler: func(_ any, g grpc.ServerStream) error { return s.receive(g) },
		}},
	}, nil)
	if counting.Heard != nil {
		s.server.RegisterService(&grpc.ServiceDesc{
			ServiceName: "envoy.service.metrics.v3.MetricsService",
			Streams: []grpc.StreamDesc{{
				StreamName: "StreamMetrics", ClientStreams: true,
				Handler: func(_ any, g grpc.ServerStream) error { return s.receiveCounters(g) },
			}},
		}, nil)
	}
	return s, nil
}

// Addr is where the service listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, which gives nil, or the sink fails. It is for one call.
func (s *Server) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	served := make(chan error, 1)
	serving.Go(func() { served <- s.server.Serve(s.listener) })
	defer serving.Wait()
	defer s.server.Stop() // streams never end by themselves: this cuts them and waits for their handlers
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return fmt.Errorf("access log service: %w", err)
	case err := <-served:
		return fmt.Errorf("access log service: %w", err)
	}
}

// receive takes one gateway's stream.
func (s *Server) receive(g grpc.ServerStream) error {
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	in := newStream(s.headers)
	var message []byte
	known := false
	for {
		if err := g.RecvMsg(&message); err != nil {
			return s.ended(g, in, err)
		}
		var n counts
		err := s.sink(g.Context(), in.calls(message, &n))
		s.metrics.add(n, len(message))
		if !known && in.gateway != "" {
			known = true
			s.log.Info("gateway sends its access log", "gateway", in.gateway, "zone", in.gatewayZone)
		}
		if err == nil {
			continue
		}
		if g.Context().Err() == nil {
			select {
			case s.failed <- err:
			default:
			}
		}
		return status.Error(codes.Unavailable, "calls cannot be taken")
	}
}

// ended answers a stream that the gateway ended in order. Of the others only a
// message that is too large is this side's doing, and worth a line.
func (s *Server) ended(g grpc.ServerStream, in stream, err error) error {
	if errors.Is(err, io.EOF) {
		return g.SendMsg(nil) // an empty StreamAccessLogsResponse
	}
	if status.Code(err) == codes.ResourceExhausted {
		s.log.Warn("access log message is too large; the gateway has to start again", "gateway", in.gateway, "err", err)
	}
	return err
}

// rawCodec hands out messages as they are. The buffer of the message before is
// used again.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("message into %T", v)
	}
	n := data.Len()
	if cap(*message) < n {
		*message = make([]byte, n)
	}
	*message = (*message)[:n]
	data.CopyTo(*message)
	return nil
}
