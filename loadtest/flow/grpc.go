package flow

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// workersPerConn is how many workers share a connection: servers take about a
// hundred streams on one.
const workersPerConn = 64

// grpcClient calls unary methods and those that answer with a stream. Statuses are
// counted as the HTTP statuses that they stand for, as gateways do, and all but OK
// also as a fault by name.
type grpcClient struct {
	config Config
	mu     sync.Mutex
	conns  map[string][]*grpc.ClientConn // by scheme and host
}

func newGRPC(c Config) *grpcClient {
	return &grpcClient{config: c, conns: map[string][]*grpc.ClientConn{}}
}

// grpcCall is a method that is ready to be called.
type grpcCall struct {
	path   string // /package.Service/Method
	stream bool   // the server answers with one
	method protoreflect.MethodDescriptor
	conns  []*grpc.ClientConn
	body   []byte // the encoded message, when it has no templates
}

func (g *grpcClient) close() error {
	var errs []error
	for _, conns := range g.conns {
		for _, c := range conns {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// prepare finds out what the method takes, and encodes the message if it can.
func (g *grpcClient) prepare(ctx context.Context, r *Request) error {
	conns, err := g.dial(r.fixed)
	if err != nil {
		return err
	}
	c := &grpcCall{path: r.fixed.Path, conns: conns}
	service, name, _ := strings.Cut(strings.TrimPrefix(r.fixed.Path, "/"), "/")
	if r.Files != nil {
		c.method, err = findMethod(r.Files, service, name)
	} else {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, attack.Header, g.config.Run), g.config.Timeout)
		defer cancel()
		c.method, err = reflectMethod(ctx, conns[0], service, name)
	}
	if err != nil {
		return err
	}
	if c.method.IsStreamingClient() {
		return fmt.Errorf("%s takes a stream of requests, want a unary method or one that answers with a stream", c.path)
	}
	c.stream = c.method.IsStreamingServer()
	if r.body != nil {
		if c.body, err = c.encode(r.body); err != nil {
			return fmt.Errorf("body: %w", err)
		}
	}
	r.call = c
	return nil
}

// dial makes the connections; they connect when they are used.
func (g *grpcClient) dial(u *url.URL) ([]*grpc.ClientConn, error) {
	key := u.Scheme + "://" + u.Host
	g.mu.Lock()
	defer g.mu.Unlock()
	if conns := g.conns[key]; conns != nil {
		return conns, nil
	}
	creds := insecure.NewCredentials()
	if u.Scheme == "grpcs" {
		t := g.config.TLS
		if t == nil {
			t = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		creds = credentials.NewTLS(t)
	}
	for range (g.config.Workers + workersPerConn - 1) / workersPerConn {
		conn, err := grpc.NewClient("passthrough:///"+u.Host,
			grpc.WithTransportCredentials(creds), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return g.config.Meter.Dial(ctx, "tcp", address)
			}),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
		if err != nil {
			return nil, err
		}
		g.conns[key] = append(g.conns[key], conn)
	}
	return g.conns[key], nil
}

// rawCodec sends and receives messages as bytes: what nobody looks at is never decoded.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}

// encode turns JSON into a message; nothing is the empty one.
func (c *grpcCall) encode(text []byte) ([]byte, error) {
	m := dynamicpb.NewMessage(c.method.Input())
	if len(bytes.TrimSpace(text)) > 0 {
		if err := protojson.Unmarshal(text, m); err != nil {
			return nil, fmt.Errorf("is no %s: %w", c.method.Input().FullName(), err)
		}
	}
	return proto.Marshal(m)
}

func (g *grpcClient) exchange(ctx context.Context, r *Request, _ *url.URL, s *state, reply *attack.Reply) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	reply.Method = http.MethodPost
	ctx, message, err := g.request(ctx, r, s)
	if err != nil {
		refuse(reply, err)
		return a
	}
	reply.Out = uint64(len(message))
	conn := r.call.conns[int(s.values.Seq)%len(r.call.conns)]
	var head, tail metadata.MD
	messages, err := r.call.invoke(ctx, conn, message, g.config.MaxAnswer, &head, &tail)
	for _, m := range messages {
		reply.In += uint64(len(m))
	}
	st := status.Convert(err)
	if isTooLarge(st, g.config.MaxAnswer) {
		reply.Fault, reply.Text = KindTooLarge, tooLarge
		return a
	}
	reply.Status = httpStatus[st.Code()]
	if err != nil {
		reply.Fault, reply.Text = g.faultOf(ctx, st), st.Message()
	}
	if reply.Fault == attack.KindTimeout {
		reply.Status = 0
	}
	if err != nil || !r.keeps() {
		return a
	}
	a.header = http.Header{}
	for k, v := range metadata.Join(head, tail) {
		a.header[http.CanonicalHeaderKey(k)] = v
	}
	if a.body, err = r.call.decode(messages); err != nil {
		reply.Status, reply.Fault, reply.Text = 0, attack.KindOther, err.Error()
	}
	return a
}

func (g *grpcClient) request(ctx context.Context, r *Request, s *state) (context.Context, []byte, error) {
	head, _, err := r.head(g.config, s)
	if err != nil {
		return ctx, nil, err
	}
	md := make(metadata.MD, len(head))
	for k, v := range head {
		md[strings.ToLower(k)] = v
	}
	ctx = metadata.NewOutgoingContext(ctx, md)
	if r.call.body != nil {
		return ctx, r.call.body, nil
	}
	text, err := r.payload(g.config, s)
	if err != nil {
		return ctx, nil, err
	}
	message, err := r.call.encode(text)
	return ctx, message, err
}

// isTooLarge tells of an answer above the cap, which gRPC has a status of servers for,
// and only words to tell it from theirs.
func isTooLarge(st *status.Status, most int) bool {
	return st.Code() == codes.ResourceExhausted && strings.HasSuffix(st.Message(), fmt.Sprintf(" vs. %d)", most))
}

// invoke returns all messages of the answer, with most bytes together.
func (c *grpcCall) invoke(ctx context.Context, conn *grpc.ClientConn, message []byte, most int, head, tail *metadata.MD) ([][]byte, error) {
	options := []grpc.CallOption{grpc.Header(head), grpc.Trailer(tail), grpc.MaxCallRecvMsgSize(most)}
	if !c.stream {
		var out []byte
		err := conn.Invoke(ctx, c.path, &message, &out, options...)
		return [][]byte{out}, err
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, c.path, options...)
	if err != nil {
		return nil, err
	}
	if err := s.SendMsg(&message); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg knows why
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	var all [][]byte
	for size := 0; ; {
		var out []byte
		if err := s.RecvMsg(&out); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, out)
		if size += len(out); size > most {
			return all, status.Errorf(codes.ResourceExhausted, "%s (%d vs. %d)", tooLarge, size, most)
		}
	}
}

// decode is the answer as JSON: the message, or a list of a stream's.
func (c *grpcCall) decode(messages [][]byte) ([]byte, error) {
	var parts [][]byte
	for _, raw := range messages {
		m := dynamicpb.NewMessage(c.method.Output())
		if err := proto.Unmarshal(raw, m); err != nil {
			return nil, fmt.Errorf("the answer is no %s: %w", c.method.Output().FullName(), err)
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
		if err != nil {
			return nil, err
		}
		parts = append(parts, text)
	}
	if !c.stream {
		return parts[0], nil
	}
	return append(append([]byte("["), bytes.Join(parts, []byte(","))...), ']'), nil
}

// faultOf is empty for OK. The server knows the deadline, too, and may be the first
// to say that it is over.
func (g *grpcClient) faultOf(ctx context.Context, st *status.Status) string {
	deadline, _ := ctx.Deadline()
	switch {
	case st.Code() == codes.OK:
		return ""
	case st.Code() == codes.DeadlineExceeded && time.Until(deadline) < g.config.Timeout/10:
		return attack.KindTimeout
	}
	return "grpc-" + kebab(st.Code())
}

func kebab(c codes.Code) string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return "unknown"
}
