package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"
)

const clientName = "kongdao"

// link is one connection of an Inserter. It is used by one goroutine at a time.
type link struct {
	conn     net.Conn
	reader   *proto.Reader
	buf      proto.Buffer
	revision int    // spoken on this connection
	end      []byte // the data packet that says there is no more
	spoiled  bool   // its deadline may be moved by a context that has ended
}

// dial connects and logs in.
func dial(ctx context.Context, o Options, addr string, revision int) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, or(o.DialTimeout, 5*time.Second))
	defer cancel()
	conn, err := o.connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, reader: proto.NewReader(conn), revision: revision}
	if l.end, err = endOfData(revision); err == nil {
		err = l.guarded(ctx, func() error { return l.hello(o) })
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return l, nil
}

// connect is what the driver does with the same options.
func (o Options) connect(ctx context.Context, addr string) (net.Conn, error) {
	switch {
	case o.Dial != nil:
		return o.Dial(ctx, addr)
	case o.TLS != nil:
		return (&tls.Dialer{Config: o.TLS}).DialContext(ctx, "tcp", addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// guarded runs f, which reads and writes the connection, and ends it with ctx.
func (l *link) guarded(ctx context.Context, f func() error) error {
	deadline, _ := ctx.Deadline() // the zero time is none
	if err := l.conn.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	err := f()
	l.spoiled = !stop()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

func (l *link) hello(o Options) error {
	l.buf.Reset()
	proto.ClientHello{
		Name: clientName, Major: 1, ProtocolVersion: l.revision,
		Database: or(o.Database, "default"), User: or(o.User, "default"), Password: o.Password.Reveal(),
	}.Encode(&l.buf)
	if _, err := l.conn.Write(l.buf.Buf); err != nil {
		return err
	}
	code, err := l.packet()
	if err != nil {
		return err
	}
	if code != proto.ServerCodeHello {
		return fmt.Errorf("server answers %s to the greeting", code)
	}
	var server proto.ServerHello
	if err := server.DecodeAware(l.reader, l.revision); err != nil {
		return fmt.Errorf("read the server's greeting: %w", err)
	}
	if server.Revision < l.revision {
		return fmt.Errorf("server speaks revision %d of the protocol, blocks need %d", server.Revision, l.revision)
	}
	return nil
}

// insert sends the block and waits until it is stored. ready says that the server
// had accepted the query, so that it may have stored something.
func (l *link) insert(ctx context.Context, revision int, settings map[string]any, in Insert) (ready bool, err error) {
	err = l.guarded(ctx, func() error {
		l.buf.Reset()
		l.query(revision, settings, in)
		if _, err := l.conn.Write(l.buf.Buf); err != nil {
			return err
		}
		if err := l.await(proto.ServerCodeData); err != nil {
			return err
		}
		ready = true
		head := l.dataHead()
		packets := net.Buffers{head, in.Block, l.end}
		_, written := packets.WriteTo(l.conn)
		// A server that refuses says why before it hangs up.
		if err := l.await(proto.ServerCodeEndOfStream); err != nil && (written == nil || Code(err) != 0) {
			return err
		}
		return written
	})
	return ready, err
}

func (l *link) query(revision int, settings map[string]any, in Insert) {
	proto.Query{
		ID: in.ID, Body: in.query(), Stage: proto.StageComplete, Compression: proto.CompressionEnabled,
		Settings: settingsOf(settings, in.Settings),
		Info: proto.ClientInfo{
			ProtocolVersion: revision, Major: 1, Interface: proto.InterfaceTCP, Query: proto.ClientQueryInitial,
			InitialQueryID: in.ID, InitialAddress: l.conn.LocalAddr().String(), ClientName: clientName,
		},
	}.EncodeAware(&l.buf, revision)
	l.buf.Buf = append(l.buf.Buf, l.end...) // there are no external tables
}

// dataHead is what precedes the block in its packet.
func (l *link) dataHead() []byte {
	l.buf.Reset()
	putDataHead(&l.buf, l.revision)
	return l.buf.Buf
}

func putDataHead(b *proto.Buffer, revision int) {
	proto.ClientCodeData.Encode(b)
	proto.ClientData{}.EncodeAware(b, revision)
}

func endOfData(revision int) ([]byte, error) {
	var b, empty proto.Buffer
	putDataHead(&b, revision)
	proto.Block{}.EncodeAware(&empty, revision)
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	if err := w.Compress(empty.Buf); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return append(b.Buf, w.Data...), nil
}

// await reads packets up to the one that is wanted.
func (l *link) await(want proto.ServerCode) error {
	for {
		code, err := l.packet()
		if err != nil {
			return err
		}
		if err := l.skip(code); err != nil {
			return fmt.Errorf("read %s from the server: %w", code, err)
		}
		if code == want {
			return nil
		}
		if code == proto.ServerCodeEndOfStream {
			return errors.New("server ended the insert before it took the block")
		}
	}
}

// packet reads the kind of the next packet; an exception is the error.
func (l *link) packet() (proto.ServerCode, error) {
	n, err := l.reader.UVarInt()
	if err != nil {
		return 0, err
	}
	code := proto.ServerCode(n)
	if code != proto.ServerCodeException {
		return code, nil
	}
	var e ch.Exception
	if err := e.Decode(l.reader); err != nil {
		return 0, fmt.Errorf("read the server's error: %w", err)
	}
	return 0, &e
}

// skip reads what follows the kind of a packet.
func (l *link) skip(code proto.ServerCode) error {
	switch code {
	case proto.ServerCodeData:
		return l.skipHeader()
	case proto.ServerCodeLog, proto.ServerProfileEvents:
		return l.skipEvents()
	case proto.ServerCodeProgress:
		return new(proto.Progress).DecodeAware(l.reader, l.revision)
	case proto.ServerCodeProfile:
		return new(proto.Profile).DecodeAware(l.reader, l.revision)
	case proto.ServerCodeTableColumns:
		return new(proto.TableColumns).DecodeAware(l.reader, l.revision)
	case proto.ServerCodeEndOfStream:
		return nil
	}
	return errors.New("not a packet that an insert is answered with")
}

// skipHeader reads the block without rows that names the columns the server wants.
func (l *link) skipHeader() error {
	if _, err := l.reader.Str(); err != nil { // name of a temporary table
		return err
	}
	l.reader.EnableCompression()
	defer l.reader.DisableCompression()
	var info proto.BlockInfo
	if err := info.Decode(l.reader); err != nil {
		return err
	}
	columns, err := l.reader.Int()
	if err != nil {
		return err
	}
	rows, err := l.reader.Int()
	if err != nil || rows != 0 {
		return errors.Join(err, fmt.Errorf("%d rows where none are expected", rows))
	}
	for range 2 * columns { // name and type of each
		if _, err := l.reader.Str(); err != nil {
			return err
		}
	}
	return nil
}

// skipEvents reads the small, uncompressed blocks of log lines and counters.
func (l *link) skipEvents() error {
	if _, err := l.reader.Str(); err != nil { // name of a temporary table
		return err
	}
	var block proto.Block
	var results proto.Results
	return block.DecodeBlock(l.reader, l.revision, results.Auto())
}

// settingOf is a setting as the driver sends it: one that the server has to know,
// unless it is marked as the user's own.
func settingOf(name string, v any) proto.Setting {
	own, custom := v.(ch.CustomSetting)
	if custom {
		v = own.Value
	}
	switch v {
	case true:
		v = 1
	case false:
		v = 0
	}
	return proto.Setting{Key: name, Value: fmt.Sprint(v), Important: !custom, Custom: custom}
}
