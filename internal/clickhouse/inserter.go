package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ClickHouse/ch-go/proto"
)

// Insert is one block on its way into a table.
type Insert struct {
	Table   string
	Columns []string // those of the block, in its order
	// ID is that of the query; empty: the server chooses one. A server refuses an
	// insert while another one with its ID runs.
	ID       string
	Settings map[string]any // of this insert, besides those of Options; a server that does not know one refuses
	// Block is a native block, block info included, in compressed frames, as the
	// data packet of a client of the Inserter's revision holds it.
	Block []byte
}

func (in Insert) query() string {
	q := "INSERT INTO " + in.Table + " ("
	for i, c := range in.Columns {
		if i > 0 {
			q += ", "
		}
		q += "`" + c + "`"
	}
	return q + ") FORMAT Native"
}

// Inserter sends blocks that were encoded and compressed before, byte for byte:
// nothing is decoded, and a block costs its sending. It has connections of its
// own, made when they are needed, and is safe for concurrent use.
type Inserter struct {
	options  Options
	revision int

	mu     sync.Mutex
	idle   []*link
	closed bool
}

// NewInserter prepares connections to o that speak revision of the native
// protocol, which is the one that blocks are encoded for. The caller closes it.
func NewInserter(o Options, revision int) *Inserter {
	return &Inserter{options: o, revision: revision}
}

// Insert returns nil once the server has said that the block is stored. Code gives
// the server's own error; any other error leaves open whether it was stored.
// It ends with ctx, and needs one with a deadline: it has none of its own.
func (i *Inserter) Insert(ctx context.Context, in Insert) error {
	in.Table += i.options.LocalSuffix
	for {
		l, used, err := i.take(ctx)
		if err != nil {
			return err
		}
		ready, err := l.insert(ctx, i.revision, i.options.Settings, in)
		if err == nil {
			i.give(l)
			return nil
		}
		_ = l.conn.Close() // err says more
		if used && !ready && Code(err) == 0 && ctx.Err() == nil {
			continue // the server left while the connection was idle; nothing was sent
		}
		return fmt.Errorf("insert into %s: %w", in.Table, err)
	}
}

// take returns an idle connection, or a new one.
func (i *Inserter) take(ctx context.Context) (l *link, used bool, err error) {
	i.mu.Lock()
	if n := len(i.idle); n > 0 {
		l = i.idle[n-1]
		i.idle = i.idle[:n-1]
	}
	closed := i.closed
	i.mu.Unlock()
	switch {
	case closed:
		return nil, false, errors.New("inserter is closed")
	case l != nil:
		return l, true, nil
	}
	var errs []error
	for _, addr := range i.options.Addr {
		l, err := dial(ctx, i.options, addr, i.revision)
		if err == nil {
			return l, false, nil
		}
		errs = append(errs, fmt.Errorf("connect to clickhouse at %s: %w", addr, err))
	}
	return nil, false, errors.Join(errs...)
}

// give keeps l for the next insert.
func (i *Inserter) give(l *link) {
	i.mu.Lock()
	keep := !i.closed && !l.spoiled && len(i.idle) < i.options.maxConns()
	if keep {
		i.idle = append(i.idle, l)
	}
	i.mu.Unlock()
	if !keep {
		_ = l.conn.Close() // nothing is on the way
	}
}

// Close ends idle connections; those of inserts that run end with them.
func (i *Inserter) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	var errs []error
	for _, l := range i.idle {
		errs = append(errs, l.conn.Close())
	}
	i.idle = nil
	return errors.Join(errs...)
}

// settingsOf are those of the pool and of the query, as the protocol has them.
func settingsOf(all ...map[string]any) (s []proto.Setting) {
	for _, m := range all {
		for k, v := range m {
			s = append(s, settingOf(k, v))
		}
	}
	return s
}
