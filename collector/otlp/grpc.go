package otlp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters compress with
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const protocolGRPC = "grpc"

// newGRPC is the LogsService. It takes messages as bytes.
func (r *Receiver) newGRPC() *grpc.Server {
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(r.cfg.MaxMessageBytes),
		grpc.MaxConcurrentStreams(100), // of a connection
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WaitForHandlers(true),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.logs.v1.LogsService",
		Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: r.exportGRPC}},
	}, nil)
	return s
}

//nolint:revive // the order is that of grpc.MethodDesc
func (r *Receiver) exportGRPC(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if !r.acquire(ctx) {
		r.metrics.requests[protocolGRPC][outcomeBusy].Inc()
		return nil, grpcError(errBusy)
	}
	var message []byte
	if err := receive(&message); err != nil {
		r.release()
		r.metrics.requests[protocolGRPC][outcomeMalformed].Inc()
		return nil, err
	}
	a := r.export(ctx, protocolGRPC, message)
	if a.err != nil {
		return nil, grpcError(a.err)
	}
	return a.response().MarshalProto()
}

// grpcError is err as the OTLP specification wants it: what may pass says when to
// come again, everything else must not be sent again.
func grpcError(err error) error {
	switch {
	case errors.Is(err, errBusy):
		return retryLater(codes.ResourceExhausted, errBusy)
	case errors.Is(err, errStopping):
		return retryLater(codes.Unavailable, errStopping)
	case errors.Is(err, errMessage), errors.Is(err, errTooMany):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the client left")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "records were not on disk in time")
	}
	return retryLater(codes.Unavailable, errors.New("the write-ahead log cannot be used"))
}

func retryLater(code codes.Code, err error) error {
	s, detailed := status.New(code, err.Error()).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	if detailed != nil {
		return status.Error(code, err.Error())
	}
	return s.Err()
}

// rawCodec hands messages out, and takes them, as bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("message from %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("message into %T", v)
	}
	*message = data.Materialize()
	return nil
}
