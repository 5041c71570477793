package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Client is a pool of connections. It is safe for concurrent use; its methods
// are the driver's: Exec, Query, QueryRow, Select, PrepareBatch, Ping, Stats.
type Client struct {
	driver.Conn
	options *Options // a pointer, so that printing a Client does not print the password
}

// Open connects and runs one query, so that a wrong address, user or password
// shows here. The caller closes the client.
func Open(ctx context.Context, o Options) (*Client, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	var one uint8
	if err := c.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to clickhouse at %s: %w", o.Addr, err), c.Close())
	}
	return c, nil
}

// New is Open without the first query: nothing is connected before it is needed,
// so the server may come up later.
func New(o Options) (*Client, error) {
	if len(o.Addr) == 0 {
		return nil, errors.New("clickhouse: no address")
	}
	conn, err := ch.Open(o.driver())
	if err != nil {
		return nil, fmt.Errorf("open clickhouse at %s: %w", o.Addr, err)
	}
	return &Client{Conn: conn, options: &o}, nil
}

// Options are what the client was opened with.
func (c *Client) Options() Options { return *c.options }

// OpenDB is a pool behind database/sql, for libraries that ask for one. Connections
// are made when they are needed; the caller closes it.
func OpenDB(o Options) *sql.DB {
	d := o.driver()
	db := ch.OpenDB(d)
	db.SetMaxOpenConns(d.MaxOpenConns)
	return db
}

// Code is the ClickHouse error code in err, such as 60 for an unknown table, or 0
// when err holds none: then it is the connection that failed, or the context.
func Code(err error) int32 {
	var e *ch.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
