// Package clickhousetest has a stand-in for a ClickHouse server that takes inserts
// over the native protocol and keeps nothing: for measuring and breaking what sends
// blocks, where a real server would be the slower part.
package clickhousetest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// Sink is the server. Its methods may be called by many goroutines at once.
type Sink struct {
	listener net.Listener
	ended    sync.WaitGroup

	bytes  atomic.Int64
	blocks atomic.Int64

	mu    sync.Mutex
	away  bool
	conns map[net.Conn]struct{}
}

// NewSink listens on a free loopback port. The caller closes it.
func NewSink() (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	s := &Sink{listener: l, conns: map[net.Conn]struct{}{}}
	s.ended.Go(s.accept)
	return s, nil
}

// Addr is where the sink listens.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Bytes is how many bytes of blocks were taken.
func (s *Sink) Bytes() int64 { return s.bytes.Load() }

// Blocks is how many blocks were taken.
func (s *Sink) Blocks() int64 { return s.blocks.Load() }

// Away makes the sink hang up on everybody, or take blocks again.
func (s *Sink) Away(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = yes
	if !yes {
		return
	}
	for c := range s.conns {
		_ = c.Close() // its goroutine ends
	}
}

// Close ends all connections and returns when their goroutines have ended.
func (s *Sink) Close() error {
	err := s.listener.Close()
	s.Away(true)
	s.ended.Wait()
	return err
}

func (s *Sink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.enter(c) {
			_ = c.Close() // nobody is there
			continue
		}
		s.ended.Go(func() {
			defer s.leave(c)
			_ = s.serve(c) // the client sees it
		})
	}
}

func (s *Sink) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away {
		s.conns[c] = struct{}{}
	}
	return !s.away
}

func (s *Sink) leave(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	_ = c.Close() // it may be closed already
}

// session is one connection.
type session struct {
	r        *bufio.Reader
	p        *proto.Reader
	w        io.Writer
	revision int
	end      []byte // the packet after the last block
}

func (s *Sink) serve(c net.Conn) error {
	r := bufio.NewReaderSize(c, 256<<10)
	ses := &session{r: r, p: proto.NewReader(oneByte{r}), w: c}
	if err := ses.greet(); err != nil {
		return err
	}
	for {
		if err := ses.query(); err != nil {
			return err
		}
		n, err := ses.block()
		if err != nil {
			return err
		}
		s.bytes.Add(n)
		s.blocks.Add(1)
		if _, err := c.Write([]byte{byte(proto.ServerCodeEndOfStream)}); err != nil {
			return err
		}
	}
}

// oneByte keeps proto.Reader's own buffer from reading ahead of r.
type oneByte struct{ r *bufio.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func (s *session) greet() error {
	if _, err := s.p.UVarInt(); err != nil {
		return err
	}
	var hello proto.ClientHello
	if err := hello.Decode(s.p); err != nil {
		return err
	}
	s.revision = hello.ProtocolVersion
	var err error
	if s.end, err = s.packet(byte(proto.ClientCodeData)); err != nil {
		return err
	}
	var b proto.Buffer
	(&proto.ServerHello{Name: "sink", Major: 1, Revision: s.revision, Timezone: "UTC"}).EncodeAware(&b, s.revision)
	_, err = s.w.Write(b.Buf)
	return err
}

// packet is a data packet, of either side, with a block without columns.
func (s *session) packet(code byte) ([]byte, error) {
	var b, empty proto.Buffer
	b.PutByte(code)
	b.PutString("")
	proto.Block{}.EncodeAware(&empty, s.revision)
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	if err := w.Compress(empty.Buf); err != nil {
		return nil, err
	}
	return append(b.Buf, w.Data...), nil
}

// query reads one, and answers that its block may come.
func (s *session) query() error {
	if _, err := s.p.UVarInt(); err != nil {
		return err
	}
	var q proto.Query
	if err := q.DecodeAware(s.p, s.revision); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, s.r, int64(len(s.end))); err != nil { // no external tables
		return err
	}
	header, err := s.packet(byte(proto.ServerCodeData))
	if err == nil {
		_, err = s.w.Write(header)
	}
	return err
}

// block skips the frames of one, and what says that it was the last.
func (s *session) block() (n int64, err error) {
	const head, sum, size = 2, 16, 9
	if _, err := s.r.Discard(head); err != nil {
		return 0, err
	}
	for {
		frame, err := s.r.Peek(sum + size)
		if err != nil {
			return n, err
		}
		length := int64(sum) + int64(binary.LittleEndian.Uint32(frame[sum+1:]))
		if length < sum+size {
			return n, errors.New("not a frame")
		}
		if _, err := io.CopyN(io.Discard, s.r, length); err != nil {
			return n, err
		}
		n += length
		next, err := s.r.Peek(len(s.end))
		if err != nil {
			return n, err
		}
		if bytes.Equal(next, s.end) {
			_, err := s.r.Discard(len(s.end))
			return n, err
		}
	}
}
