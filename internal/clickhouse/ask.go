package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// Reading says what a question cost the server.
type Reading struct {
	Rows  uint64 // read from tables, filtered out or not
	Bytes uint64 // before compression
}

// cancelGrace is how long a server may take to confirm that it has cancelled a
// query, before the connection is closed on it.
const cancelGrace = 2 * time.Second

// Ask runs one query on a connection of its own and hands its rows to use. Nothing
// is buffered but a few blocks. When ctx ends, or use returns an error, the query is
// cancelled on the server; Ask returns when that is done. No settings are sent but
// those of o, so that users with readonly=1 can ask. args are the driver's.
//
// A [Client] is not for this: its driver sends a setting with every deadline, and
// may panic when a context ends while blocks of a result are on their way.
func Ask(ctx context.Context, o Options, sql string, args []any, use func(driver.Rows) error) (r Reading, err error) {
	l := &line{options: o}
	o.Dial, o.MaxConns = l.dial, 1
	client, err := New(o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	stop := context.AfterFunc(ctx, l.cancel)
	defer stop()
	defer l.hangUp()
	asking := ch.Context(context.WithoutCancel(ctx), ch.WithProgress(func(p *proto.Progress) {
		r.Rows, r.Bytes = r.Rows+p.Rows, r.Bytes+p.Bytes
	}))
	rows, err := client.Query(asking, sql, args...)
	if err == nil {
		l.answering()
		err = l.use(rows, use)
	}
	if ctx.Err() != nil {
		err = ctx.Err() // what follows from the cancel is no news
	}
	return r, err
}

// use reads the rows, and cancels the query when that ends early.
func (l *line) use(rows driver.Rows, use func(driver.Rows) error) error {
	err := use(rows)
	if err != nil {
		l.cancel()
		_ = rows.Close() // waits for the end of the query; err is the reason
		return err
	}
	return errors.Join(rows.Err(), rows.Close())
}

// line is the one connection of a question.
type line struct {
	options Options

	mu     sync.Mutex
	conn   net.Conn
	ended  bool        // no query is wanted any more
	begun  bool        // the first block has come: the driver only reads from now on
	hangup *time.Timer // set by cancel
}

func (l *line) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := l.connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, errors.Join(context.Canceled, conn.Close())
	}
	l.conn = conn
	return conn, nil
}

func (l *line) connect(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: or(l.options.DialTimeout, 5*time.Second)}
	switch {
	case l.options.Dial != nil:
		return l.options.Dial(ctx, addr)
	case l.options.TLS != nil:
		return (&tls.Dialer{NetDialer: &d, Config: l.options.TLS}).DialContext(ctx, "tcp", addr)
	}
	return d.DialContext(ctx, "tcp", addr)
}

func (l *line) answering() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = true
}

// cancel ends the query. While it answers that takes one packet, which the driver
// cannot be in the middle of sending; before that the connection goes, which the
// server notices, too.
func (l *line) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	if l.conn == nil {
		return
	}
	if !l.begun {
		_ = l.conn.Close() // the driver tells
		return
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(cancelGrace))
	_, _ = l.conn.Write([]byte{proto.ClientCancel})
	conn := l.conn
	l.hangup = time.AfterFunc(cancelGrace, func() { _ = conn.Close() })
}

func (l *line) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hangup != nil {
		l.hangup.Stop()
	}
}

// One reads the only row of an answer into dest. An answer without rows leaves dest
// as it is.
func One(dest ...any) func(driver.Rows) error {
	return func(rows driver.Rows) error {
		if !rows.Next() {
			return rows.Err()
		}
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("read row: %w", err)
		}
		return nil
	}
}

// Each calls f with each row, read into a T by the names of its ch tags.
func Each[T any](f func(T) error) func(driver.Rows) error {
	return func(rows driver.Rows) error {
		for rows.Next() {
			var v T
			if err := rows.ScanStruct(&v); err != nil {
				return fmt.Errorf("read row: %w", err)
			}
			if err := f(v); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}
