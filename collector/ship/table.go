package ship

import (
	"context"
	"errors"
	"fmt"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Table says where the blocks of one log go, and what they are.
type Table struct {
	Name    string   // of the table; the label table of metrics
	Columns []string // those of a block, in its order
	// Revision of the native protocol that blocks are encoded for. A block of a log
	// is the native block of that revision, block info included, in LZ4 frames.
	Revision int
	// Split halves a block of two rows or more; equal blocks give equal halves. With
	// it, and with Missing, only the rows that ClickHouse refuses become dead
	// letters; nil: their whole block.
	Split func(block []byte) (first, second Piece, err error)
	// Missing is what of a block is not in the table, each row looked up. With it,
	// blocks that may have been stored before the tables forgot their token are
	// looked up in the ledger, which has to have a view on the table; nil: they are
	// sent again, and count twice if they were stored.
	Missing func(ctx context.Context, c *clickhouse.Client, block []byte) (Piece, error)
}

// Piece is a part of a block, as a block of its own.
type Piece struct {
	Block []byte
	Rows  int
}

func (t Table) validate() error {
	var errs []error
	if t.Name == "" {
		errs = append(errs, errors.New("table: name is missing"))
	}
	if len(t.Columns) == 0 {
		errs = append(errs, errors.New("table: columns are missing"))
	}
	if t.Revision <= 0 {
		errs = append(errs, fmt.Errorf("table: revision is %d", t.Revision))
	}
	return errors.Join(errs...)
}
